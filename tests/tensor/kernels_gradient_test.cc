#include <cmath>

#include "tests/tensor/kernels_support.h"

// Every backward of the reference against finite differences of its forward. The loss is a fixed
// random combination of the outputs, summed in double; a central difference of step 1e-2 leaves an
// error of the order of 1e-4 times the third derivative, and the rounding of fp32 outputs one of
// 1e-5.

namespace weft {
namespace {

constexpr double kTolerance = 2e-3;

double Combine(const Floats& outputs, const Floats& weights) {
  double sum = 0;
  for (int64_t i = 0; i < outputs.shape().elements(); ++i) {
    sum += static_cast<double>(outputs[i]) * weights[i];
  }
  return sum;
}

// Checks that `gradient` is the derivative of loss() in every element of x, which loss() reads.
template <typename Loss>
void ExpectGradient(Floats& x, const Floats& gradient, Loss loss) {
  constexpr float kStep = 1e-2f;
  ASSERT_EQ(x.shape().elements(), gradient.shape().elements());
  for (int64_t i = 0; i < x.shape().elements(); ++i) {
    const float saved = x[i];
    const float above_at = saved + kStep, below_at = saved - kStep;
    x[i] = above_at;
    const double above = loss();
    x[i] = below_at;
    const double below = loss();
    x[i] = saved;
    const double slope = (above - below) / (static_cast<double>(above_at) - below_at);
    ASSERT_NEAR(gradient[i], slope, kTolerance * (1 + std::abs(slope))) << "element " << i;
  }
}

class KernelsGradientTest : public ::testing::Test {
 protected:
  std::unique_ptr<Kernels> kernels_ = MakeReferenceKernels();
};

TEST_F(KernelsGradientTest, Norms) {
  const int64_t rows = 3, width = 10;
  for (const bool centered : {true, false}) {
    Floats x = Floats::Normal({rows, width}, 1), gamma = Floats::Normal({width}, 2);
    Floats beta = Floats::Normal({width}, 3);
    const Floats dy = Floats::Normal({rows, width}, 4);
    Floats y({rows, width}), mean({rows}), rstd({rows});
    const auto loss = [&] {
      const NormForwardArgs args{x.view(), gamma.view(), beta.view(), 1e-5f,
                                 y.view(), mean.view(),  rstd.view()};
      if (centered) {
        kernels_->LayerNormForward(args);
      } else {
        kernels_->RmsNormForward(args);
      }
      return Combine(y, dy);
    };
    loss();
    Floats dx({rows, width}), d_gamma({width}), d_beta({width});
    const NormBackwardArgs args{dy.view(),   x.view(),  gamma.view(),   mean.view(),
                                rstd.view(), dx.view(), d_gamma.view(), d_beta.view()};
    if (centered) {
      kernels_->LayerNormBackward(args);
    } else {
      kernels_->RmsNormBackward(args);
    }
    ExpectGradient(x, dx, loss);
    ExpectGradient(gamma, d_gamma, loss);
    if (centered) ExpectGradient(beta, d_beta, loss);
  }
}

TEST_F(KernelsGradientTest, Attention) {
  const int64_t sequences = 2, length = 5, heads = 4, kv_heads = 2, head_dim = 4;
  Floats qkv = Floats::Normal({sequences * length, (heads + 2 * kv_heads) * head_dim}, 5);
  const Floats d_out = Floats::Normal({sequences * length, heads * head_dim}, 6);
  Floats out(d_out.shape()), lse({sequences, heads, length}), d_qkv(qkv.shape());
  const auto loss = [&] {
    kernels_->AttentionForward(
        {qkv.view(), sequences, length, heads, kv_heads, head_dim, out.view(), lse.view()});
    return Combine(out, d_out);
  };
  loss();
  kernels_->AttentionBackward({qkv.view(), out.view(), lse.view(), d_out.view(), sequences, length,
                               heads, kv_heads, head_dim, d_qkv.view()});
  ExpectGradient(qkv, d_qkv, loss);
}

TEST_F(KernelsGradientTest, Rope) {
  Floats x = Floats::Normal({6, 20}, 7);
  const Floats d_turned = Floats::Normal({6, 20}, 8);
  const auto loss = [&] {
    Floats turned = x;
    kernels_->Rope({turned.view(), 2, 3, 2, 8, 100.0f, false});
    return Combine(turned, d_turned);
  };
  Floats dx = d_turned;
  kernels_->Rope({dx.view(), 2, 3, 2, 8, 100.0f, true});
  ExpectGradient(x, dx, loss);
}

TEST_F(KernelsGradientTest, Activations) {
  Floats x = Floats::Normal({4, 8}, 9, 2), gate_up = Floats::Normal({4, 8}, 10, 2);
  const Floats dy = Floats::Normal({4, 8}, 11), dz = Floats::Normal({4, 4}, 12);
  Floats y({4, 8}), dx({4, 8}), z({4, 4}), d_gate_up({4, 8});
  kernels_->GeluBackward(dy.view(), x.view(), dx.view());
  ExpectGradient(x, dx, [&] {
    kernels_->GeluForward(x.view(), y.view());
    return Combine(y, dy);
  });
  kernels_->SwigluBackward(dz.view(), gate_up.view(), d_gate_up.view());
  ExpectGradient(gate_up, d_gate_up, [&] {
    kernels_->SwigluForward(gate_up.view(), z.view());
    return Combine(z, dz);
  });
}

TEST_F(KernelsGradientTest, Bias) {
  Floats bias = Floats::Normal({5}, 13), d_bias({5});
  const Floats x = Floats::Normal({7, 5}, 14), dy = Floats::Normal({7, 5}, 15);
  kernels_->BiasBackward(dy.view(), d_bias.view());
  ExpectGradient(bias, d_bias, [&] {
    Floats y = x;
    kernels_->AddBias(bias.view(), y.view());
    return Combine(y, dy);
  });
}

TEST_F(KernelsGradientTest, Embedding) {
  Floats table = Floats::Normal({4, 3}, 16), positions = Floats::Normal({5, 3}, 17);
  const Ints tokens = Ints::Uniform({10}, 0, 4, 18);
  const Floats dy = Floats::Normal({10, 3}, 19);
  Floats y({10, 3}), d_table({4, 3}), d_positions({5, 3});
  const auto loss = [&] {
    kernels_->EmbeddingForward(tokens.view(), table.view(), positions.view(), 5, y.view());
    return Combine(y, dy);
  };
  kernels_->EmbeddingBackward(dy.view(), tokens.view(), 5, d_table.view(), d_positions.view());
  ExpectGradient(table, d_table, loss);
  ExpectGradient(positions, d_positions, loss);
}

TEST_F(KernelsGradientTest, Gate) {
  const int64_t tokens = 3, experts = 5, top_k = 2;
  for (const bool renormalize : {true, false}) {
    Floats logits({tokens, experts});  // far enough apart that no step of 1e-2 changes the choice
    for (int64_t i = 0; i < tokens * experts; ++i) {
      logits[i] = 0.3f * static_cast<float>((i * 7 + i / experts) % 5);
    }
    const Floats d_weights = Floats::Normal({tokens, top_k}, 20);
    const Floats d_probs = Floats::Normal({tokens, experts}, 21);
    Floats probs({tokens, experts}), weights({tokens, top_k}), d_logits({tokens, experts});
    Ints chosen({tokens, top_k});
    const auto loss = [&] {
      kernels_->GateForward(
          {logits.view(), top_k, renormalize, probs.view(), chosen.view(), weights.view()});
      return Combine(weights, d_weights) + Combine(probs, d_probs);
    };
    loss();
    kernels_->GateBackward({probs.view(), chosen.view(), weights.view(), d_weights.view(),
                            d_probs.view(), renormalize, d_logits.view()});
    ExpectGradient(logits, d_logits, loss);
  }
}

TEST_F(KernelsGradientTest, GatherSumWeights) {
  const Floats x = Floats::Normal({4, 6}, 22), dy = Floats::Normal({5, 6}, 23);
  Floats weights = Floats::Normal({5, 3}, 24), d_weights({5, 3}), y({5, 6});
  const Ints slot = Ints::Uniform({5, 3}, -1, 4, 25);
  kernels_->GatherDot(dy.view(), x.view(), slot.view(), d_weights.view());
  ExpectGradient(weights, d_weights, [&] {
    kernels_->GatherSum(x.view(), slot.view(), weights.view(), false, y.view());
    return Combine(y, dy);
  });
}

TEST_F(KernelsGradientTest, CrossEntropy) {
  Floats logits = Floats::Normal({4, 7}, 26);
  const Ints labels = Ints::Uniform({4}, 0, 7, 27);
  const float scale = 0.5f;
  Floats d_logits = logits;
  double ignored = 0;
  kernels_->CrossEntropy({d_logits.view(), labels.view(), scale, true, View(&ignored, {1})});
  ExpectGradient(logits, d_logits, [&] {
    Floats copy = logits;
    double sum = 0;
    kernels_->CrossEntropy({copy.view(), labels.view(), scale, false, View(&sum, {1})});
    return scale * sum;
  });
}

}  // namespace
}  // namespace weft
