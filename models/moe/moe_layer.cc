#include "models/moe/moe_layer.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace weft {

MoeLayer::MoeLayer(const ModelContext& context, Bucket& dense, Bucket& experts,
                   ExchangeBuffers& buffers, int32_t layer)
    : context_(context),
      buffers_(buffers),
      router_(context, dense, layer),
      exchange_(context, buffers),
      experts_(context, experts, layer) {
  const int64_t rows = buffers.source_rows();
  const int64_t width = context.spec.hidden_size;
  float* data = storage_.Ensure<float>({2 * rows * width}).as<float>();
  returned_ = View(data, {rows, width});
  d_returned_ = View(data + rows * width, {rows, width});
}

void MoeLayer::SetDegrees(int32_t forward, int32_t backward) {
  forward_degree_ = forward;
  backward_degree_ = backward;
}

void MoeLayer::CountsKnown() {
  exchange_.CountsKnown(router_.counts(), forward_degree_, backward_degree_);
  experts_.Reserve(exchange_.arrival(Direction::kForward));
}

absl::Status MoeLayer::Run(const Op& op, int32_t chunk, const Activations& a, double* size) {
  const Layout& layout = context_.layout;
  const Direction direction = op.direction();
  const bool forward = direction == Direction::kForward;
  *size = op.size;
  switch (op.key.kind) {
    case OpKind::kRouter:
      if (!forward) {
        router_.Backward(d_returned_, a.dy, a.x, a.dx);
        return absl::OkStatus();
      }
      router_.Forward(a.x, forward_degree_, buffers_.send(), a.balance_loss);
      if (layout.ep == 1 && layout.esp == 1) CountsKnown();
      return absl::OkStatus();
    case OpKind::kCountsAllToAll:
      WEFT_RETURN_IF_ERROR(exchange_.CountsAllToAll(router_.counts(), size));
      if (layout.esp == 1) CountsKnown();
      return absl::OkStatus();
    case OpKind::kCountsAllGather:
      WEFT_RETURN_IF_ERROR(exchange_.CountsAllGather(router_.counts(), size));
      CountsKnown();
      return absl::OkStatus();
    case OpKind::kDispatch:
      return exchange_.Dispatch(order(direction), direction, chunk, size);
    case OpKind::kEspAllGather:
      return exchange_.EspAllGather(direction, chunk, size);
    case OpKind::kExpert: {
      const ArrivalOrder& arrival = exchange_.arrival(direction);
      const TensorView output = exchange_.expert_output(returned(direction));
      *size = forward ? experts_.Forward(arrival, chunk, exchange_.expert_input(), output)
                      : experts_.Backward(arrival, chunk, exchange_.expert_input(), output);
      return absl::OkStatus();
    }
    case OpKind::kEspReduceScatter:
      return exchange_.EspReduceScatter(direction, chunk, returned(direction), size);
    case OpKind::kCombine:
      return exchange_.Combine(order(direction), direction, chunk, returned(direction), size);
    case OpKind::kUnpermute:
      if (forward) {
        router_.Combine(a.x, returned_, a.y);
      } else {
        router_.CombineBackward(a.dy, returned_, backward_degree_, buffers_.send());
      }
      return absl::OkStatus();
    case OpKind::kExpertWgrad:
      *size = experts_.BackwardWeights(exchange_.arrival(Direction::kBackward));
      return absl::OkStatus();
    default:
      return absl::InternalError(
          absl::StrCat("not an operation of an MoE layer: ", std::string(Name(op.key.kind))));
  }
}

}  // namespace weft
