#include "tests/tensor/staged_kernels.h"

#include <deque>

namespace weft {
namespace {

// The tensors of one call on the device. The same host tensor is the same tensor there.
class Call {
 public:
  explicit Call(Kernels& kernels) : memory_(kernels.memory()) {}
  ~Call() {
    for (const Tensor& tensor : tensors_) {
      if (tensor.written) memory_.ToHost(tensor.device, tensor.host);
      memory_.Free(tensor.device.data);
    }
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  ConstTensorView In(const ConstTensorView& host) {
    return Stage({const_cast<void*>(host.data), host.dtype, host.shape}, false);
  }
  TensorView Out(const TensorView& host) { return Stage(host, true); }

 private:
  struct Tensor {
    TensorView host, device;
    bool written = false;
  };

  TensorView Stage(const TensorView& host, bool written) {
    if (host.data == nullptr || host.bytes() == 0) return host;
    for (Tensor& tensor : tensors_) {
      if (tensor.host.data != host.data || tensor.host.bytes() != host.bytes()) continue;
      tensor.written |= written;
      return tensor.device;
    }
    Tensor& tensor = tensors_.emplace_back(Tensor{host, host, written});
    tensor.device.data = memory_.Allocate(host.bytes());
    memory_.FromHost(host, tensor.device);
    return tensor.device;
  }

  Memory& memory_;
  std::deque<Tensor> tensors_;
};

}  // namespace

void StagedKernels::Gemm(const GemmArgs& args) {
  Call call(*inner_);
  GemmArgs own = args;
  own.a = call.In(args.a);
  own.b = call.In(args.b);
  own.c = call.Out(args.c);
  inner_->Gemm(own);
}

void StagedKernels::AddBias(ConstTensorView bias, TensorView x) {
  Call call(*inner_);
  inner_->AddBias(call.In(bias), call.Out(x));
}

void StagedKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  Call call(*inner_);
  inner_->BiasBackward(call.In(dy), call.Out(d_bias));
}

void StagedKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  Call call(*inner_);
  inner_->Add(call.In(a), call.In(b), call.Out(y));
}

void StagedKernels::Scale(float factor, TensorView x) {
  Call call(*inner_);
  inner_->Scale(factor, call.Out(x));
}

namespace {

NormForwardArgs Staged(Call& call, const NormForwardArgs& args) {
  return {call.In(args.x),  call.In(args.gamma), call.In(args.beta), args.epsilon,
          call.Out(args.y), call.Out(args.mean), call.Out(args.rstd)};
}

NormBackwardArgs Staged(Call& call, const NormBackwardArgs& args) {
  return {call.In(args.dy),   call.In(args.x),   call.In(args.gamma),    call.In(args.mean),
          call.In(args.rstd), call.Out(args.dx), call.Out(args.d_gamma), call.Out(args.d_beta)};
}

}  // namespace

void StagedKernels::LayerNormForward(const NormForwardArgs& args) {
  Call call(*inner_);
  inner_->LayerNormForward(Staged(call, args));
}

void StagedKernels::LayerNormBackward(const NormBackwardArgs& args) {
  Call call(*inner_);
  inner_->LayerNormBackward(Staged(call, args));
}

void StagedKernels::RmsNormForward(const NormForwardArgs& args) {
  Call call(*inner_);
  inner_->RmsNormForward(Staged(call, args));
}

void StagedKernels::RmsNormBackward(const NormBackwardArgs& args) {
  Call call(*inner_);
  inner_->RmsNormBackward(Staged(call, args));
}

void StagedKernels::Rope(const RopeArgs& args) {
  Call call(*inner_);
  RopeArgs own = args;
  own.x = call.Out(args.x);
  inner_->Rope(own);
}

void StagedKernels::AttentionForward(const AttentionForwardArgs& args) {
  Call call(*inner_);
  AttentionForwardArgs own = args;
  own.qkv = call.In(args.qkv);
  own.out = call.Out(args.out);
  own.lse = call.Out(args.lse);
  inner_->AttentionForward(own);
}

void StagedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  Call call(*inner_);
  AttentionBackwardArgs own = args;
  own.qkv = call.In(args.qkv);
  own.out = call.In(args.out);
  own.lse = call.In(args.lse);
  own.d_out = call.In(args.d_out);
  own.d_qkv = call.Out(args.d_qkv);
  inner_->AttentionBackward(own);
}

void StagedKernels::GeluForward(ConstTensorView x, TensorView y) {
  Call call(*inner_);
  inner_->GeluForward(call.In(x), call.Out(y));
}

void StagedKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  Call call(*inner_);
  inner_->GeluBackward(call.In(dy), call.In(x), call.Out(dx));
}

void StagedKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  Call call(*inner_);
  inner_->SwigluForward(call.In(gate_up), call.Out(y));
}

void StagedKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                   TensorView d_gate_up) {
  Call call(*inner_);
  inner_->SwigluBackward(call.In(dy), call.In(gate_up), call.Out(d_gate_up));
}

void StagedKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                     ConstTensorView positions, int64_t length, TensorView y) {
  Call call(*inner_);
  inner_->EmbeddingForward(call.In(tokens), call.In(table), call.In(positions), length,
                           call.Out(y));
}

void StagedKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                      TensorView d_table, TensorView d_positions) {
  Call call(*inner_);
  inner_->EmbeddingBackward(call.In(dy), call.In(tokens), length, call.Out(d_table),
                            call.Out(d_positions));
}

void StagedKernels::GateForward(const GateForwardArgs& args) {
  Call call(*inner_);
  GateForwardArgs own = args;
  own.logits = call.In(args.logits);
  own.probs = call.Out(args.probs);
  own.experts = call.Out(args.experts);
  own.weights = call.Out(args.weights);
  inner_->GateForward(own);
}

void StagedKernels::GateBackward(const GateBackwardArgs& args) {
  Call call(*inner_);
  inner_->GateBackward({call.In(args.probs), call.In(args.experts), call.In(args.weights),
                        call.In(args.d_weights), call.In(args.d_probs), args.renormalize,
                        call.Out(args.d_logits)});
}

void StagedKernels::BalanceLoss(const BalanceLossArgs& args) {
  Call call(*inner_);
  inner_->BalanceLoss({call.In(args.probs), call.In(args.experts), args.length, args.coefficient,
                       call.Out(args.d_probs), call.Out(args.loss_sum)});
}

void StagedKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks,
                             TensorView to) {
  Call call(*inner_);
  inner_->CopyRows(call.In(from), blocks, call.Out(to));
}

void StagedKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  Call call(*inner_);
  inner_->GatherRows(call.In(x), call.In(index), call.Out(y));
}

void StagedKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index,
                                     ConstTensorView weight, TensorView y) {
  Call call(*inner_);
  inner_->GatherScaledRows(call.In(x), call.In(index), call.In(weight), call.Out(y));
}

void StagedKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                              bool accumulate, TensorView y) {
  Call call(*inner_);
  inner_->GatherSum(call.In(x), call.In(slot), call.In(weight), accumulate, call.Out(y));
}

void StagedKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                              TensorView d) {
  Call call(*inner_);
  inner_->GatherDot(call.In(a), call.In(x), call.In(slot), call.Out(d));
}

void StagedKernels::CrossEntropy(const CrossEntropyArgs& args) {
  Call call(*inner_);
  inner_->CrossEntropy({call.Out(args.logits), call.In(args.labels), args.scale, args.want_gradient,
                        call.Out(args.loss_sum)});
}

void StagedKernels::AdamW(const AdamWArgs& args) {
  Call call(*inner_);
  AdamWArgs own = args;
  own.parameter = call.Out(args.parameter);
  own.m = call.Out(args.m);
  own.v = call.Out(args.v);
  own.gradient = call.In(args.gradient);
  inner_->AdamW(own);
}

void StagedKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  Call call(*inner_);
  inner_->SumOfSquares(call.In(x), call.Out(sum));
}

}  // namespace weft
