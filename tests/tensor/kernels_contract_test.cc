#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "tests/tensor/kernels_support.h"

// The CPU kernels equal the reference: elementwise operations, norms, activations, rotary
// embedding, embeddings, rows, loss, optimizer. Tolerances are relative to 1 + |expected| and stand
// next to each comparison.

namespace weft {
namespace {

// Rows and widths with edges: nothing, one, not a multiple of any vector, one more than one.
const std::vector<std::pair<int64_t, int64_t>> kShapes = {{0, 16}, {1, 1},   {1, 64},   {3, 7},
                                                          {5, 33}, {70, 80}, {129, 96}, {2, 1000}};

class KernelsContractTest : public FastKernelsTest {};

TEST_P(KernelsContractTest, Elementwise) {
  for (const auto& [rows, width] : kShapes) {
    const Floats a = Floats::Normal({rows, width}, 1), b = Floats::Normal({rows, width}, 2);
    const Floats bias = Floats::Normal({width}, 3);
    Floats results[2][4] = {{a, a, a, bias}, {a, a, a, bias}};
    for (int i = 0; i < 2; ++i) {
      Kernels& kernels = i == 0 ? *reference_ : *fast_;
      kernels.AddBias(bias.view(), results[i][0].view());
      kernels.Scale(-0.37f, results[i][1].view());
      kernels.Add(results[i][2].view(), b.view(), results[i][2].view());  // y aliases a
      kernels.BiasBackward(a.view(), results[i][3].view());
    }
    EXPECT_TRUE(SameBits(results[1][0], results[0][0]));
    EXPECT_TRUE(SameBits(results[1][1], results[0][1]));
    EXPECT_TRUE(SameBits(results[1][2], results[0][2]));
    EXPECT_TRUE(Near(results[1][3], results[0][3], 1e-5));
    double expected = 3, actual = 3;  // accumulated
    reference_->SumOfSquares(a.view(), View(&expected, {1}));
    fast_->SumOfSquares(a.view(), View(&actual, {1}));
    EXPECT_GE(actual, 3);
    EXPECT_NEAR(actual, expected, 1e-12 * static_cast<double>(rows * width + 1));
  }
}

TEST_P(KernelsContractTest, SquaresOfManyNumbersAddUp) {
  const Floats x = Floats::Normal({600001}, 34);
  double expected = 0, actual = 0;
  reference_->SumOfSquares(x.view(), View(&expected, {1}));
  fast_->SumOfSquares(x.view(), View(&actual, {1}));
  EXPECT_NEAR(actual, expected, 1e-12 * 600001);
}

TEST_P(KernelsContractTest, CopiedRowsLandWhereTheyBelongAndNowhereElse) {
  const Floats from = Floats::Normal({7, 3}, 40);
  const RowBlock blocks[] = {{5, 0, 2}, {0, 4, 1}, {3, 3, 0}, {2, 2, 2}};
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats to({6, 3}, -1);
    kernels->CopyRows(from.view(), blocks, to.view());
    const int64_t expected[] = {5, 6, 2, 3, 0, -1};
    for (size_t row = 0; row < 6; ++row) {
      for (size_t i = 0; i < 3; ++i) {
        const auto source = static_cast<size_t>(expected[row]);
        EXPECT_EQ(to[row * 3 + i], expected[row] < 0 ? -1 : from[source * 3 + i]);
      }
    }
  }
}

TEST_P(KernelsContractTest, BalanceLossOfTwoSequences) {
  const Floats probs = Floats::Normal({6, 4}, 41);
  Ints experts({6, 2});
  const int32_t chosen[] = {0, 1, 0, 2, 0, 1, 3, 2, 3, 1, 3, 0};
  for (size_t i = 0; i < 12; ++i) experts[i] = chosen[i];
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats d_probs({6, 4}, -1);
    double loss = 1, expected = 1;  // accumulated
    kernels->BalanceLoss({probs.view(), experts.view(), 3, 0.5, d_probs.view(), View(&loss, {1})});
    for (size_t sequence = 0; sequence < 2; ++sequence) {
      for (int32_t e = 0; e < 4; ++e) {
        double fraction = 0, mean = 0;
        for (size_t i = 6 * sequence; i < 6 * sequence + 6; ++i) fraction += chosen[i] == e;
        fraction /= 6;
        for (size_t t = 3 * sequence; t < 3 * sequence + 3; ++t)
          mean += probs[t * 4 + static_cast<size_t>(e)] / 3.0;
        expected += 0.5 * fraction * mean;
        for (size_t t = 3 * sequence; t < 3 * sequence + 3; ++t)
          EXPECT_FLOAT_EQ(d_probs[t * 4 + static_cast<size_t>(e)],
                          static_cast<float>(0.5 * fraction / 3));
      }
    }
    EXPECT_NEAR(loss, expected, 1e-7);
  }
}

TEST_P(KernelsContractTest, BalanceLossOfManyExperts) {
  const int64_t length = 21, experts = 70;
  const Floats probs = Floats::Normal({3 * length, experts}, 42);
  const Ints chosen = Ints::Uniform({3 * length, 4}, 0, experts, 43);
  Floats d_probs[2] = {Floats(probs.shape()), Floats(probs.shape())};
  double losses[2] = {1, 1};  // accumulated
  for (int i = 0; i < 2; ++i) {
    (i == 0 ? reference_ : fast_)
        ->BalanceLoss(
            {probs.view(), chosen.view(), length, 0.5, d_probs[i].view(), View(&losses[i], {1})});
  }
  EXPECT_NE(losses[0], 1);
  EXPECT_NEAR(losses[1], losses[0], 1e-9);
  EXPECT_TRUE(Near(d_probs[1], d_probs[0], 1e-7));
}

TEST_P(KernelsContractTest, ColumnSumsOfManyRowsKeepTheirPrecision) {
  for (const int64_t width : {19, 24}) {
    const Floats dy = Floats::Normal({4096, width}, 4, 0.1f);
    Floats expected({width}, 1), actual({width}, 1);
    reference_->BiasBackward(dy.view(), expected.view());
    fast_->BiasBackward(dy.view(), actual.view());
    // Sums, which stay in fp32 whatever was added up.
    EXPECT_TRUE(weft::Near(actual, expected, 2e-6));
  }
}

struct NormResult {
  Floats y, mean, rstd, dx, d_gamma, d_beta;
};

NormResult RunNorm(Kernels& kernels, bool centered, int64_t rows, int64_t width,
                   bool apart = false) {
  const Floats x = Floats::Normal({rows, width}, 5, 3), dy = Floats::Normal({rows, width}, 6);
  const Floats gamma = Floats::Normal({width}, 7), beta = Floats::Normal({width}, 8);
  NormResult out{Floats({rows, width}), Floats({rows}), Floats({rows}),
                 Floats({rows, width}), gamma,          beta};
  const NormForwardArgs forward{x.view(),     gamma.view(),    beta.view(),    1e-5f,
                                out.y.view(), out.mean.view(), out.rstd.view()};
  if (centered) {
    kernels.LayerNormForward(forward);
  } else {
    kernels.RmsNormForward(forward);
  }
  const NormBackwardArgs backward{dy.view(),          x.view(),         gamma.view(),
                                  out.mean.view(),    out.rstd.view(),  out.dx.view(),
                                  out.d_gamma.view(), out.d_beta.view()};
  const auto run = [&kernels, centered](const NormBackwardArgs& args) {
    centered ? kernels.LayerNormBackward(args) : kernels.RmsNormBackward(args);
  };
  if (!apart) {
    run(backward);
    return out;
  }
  NormBackwardArgs half = backward;
  half.d_gamma = half.d_beta = {};
  run(half);
  half = backward;
  half.dx = {};
  run(half);
  return out;
}

TEST_P(KernelsContractTest, Norms) {
  for (const bool centered : {true, false}) {
    for (const auto& [rows, width] : kShapes) {
      SCOPED_TRACE(::testing::Message()
                   << rows << " x " << width << (centered ? " layer" : " rms"));
      const NormResult expected = RunNorm(*reference_, centered, rows, width);
      const NormResult actual = RunNorm(*fast_, centered, rows, width);
      EXPECT_TRUE(Near(actual.y, expected.y, 1e-5));
      EXPECT_TRUE(Near(actual.rstd, expected.rstd, 1e-5));
      // At width 1 the true gradient is 0 and rstd is 1 / sqrt(epsilon): what is left is rounding
      // times 316.
      EXPECT_TRUE(Near(actual.dx, expected.dx, width == 1 ? 1e-3 : 1e-5));
      EXPECT_TRUE(Near(actual.d_gamma, expected.d_gamma, 3e-5));
      if (!centered) continue;
      EXPECT_TRUE(Near(actual.mean, expected.mean, 1e-6));
      EXPECT_TRUE(Near(actual.d_beta, expected.d_beta, 1e-5));
    }
  }
}

// Wider than what a block of a device keeps in registers.
TEST_P(KernelsContractTest, WideRows) {
  for (const int64_t width : {8196, 16416, 16401}) {
    SCOPED_TRACE(width);
    for (const bool centered : {true, false}) {
      const NormResult expected = RunNorm(*reference_, centered, 2, width);
      const NormResult actual = RunNorm(*fast_, centered, 2, width);
      EXPECT_TRUE(Near(actual.y, expected.y, 1e-5));
      EXPECT_TRUE(Near(actual.dx, expected.dx, 1e-5));
      EXPECT_TRUE(Near(actual.d_gamma, expected.d_gamma, 3e-5));
    }
    const Ints labels = Ints::Uniform({2}, 0, static_cast<int32_t>(width), 36);
    Floats expected = Floats::Normal({2, width}, 37, 4), actual = expected;
    double losses[2] = {0, 0};
    reference_->CrossEntropy({expected.view(), labels.view(), 1, true, View(&losses[0], {1})});
    fast_->CrossEntropy({actual.view(), labels.view(), 1, true, View(&losses[1], {1})});
    // A sum of so many exponentials in fp32.
    EXPECT_NEAR(losses[1], losses[0], 3e-5);
    EXPECT_TRUE(Near(actual, expected, 3e-6));
  }
}

TEST_P(KernelsContractTest, NormsGiveRowsAndParametersTogetherOrApart) {
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    for (const bool centered : {true, false}) {
      const NormResult together = RunNorm(*kernels, centered, 130, 40);
      const NormResult apart = RunNorm(*kernels, centered, 130, 40, true);
      EXPECT_TRUE(SameBits(apart.dx, together.dx));
      EXPECT_TRUE(SameBits(apart.d_gamma, together.d_gamma));
      EXPECT_TRUE(SameBits(apart.d_beta, together.d_beta));
    }
  }
}

TEST_P(KernelsContractTest, Activations) {
  for (const auto& [rows, width] : kShapes) {
    for (const float scale : {1.0f, 30.0f}) {  // 30: far into both tails
      const Floats x = Floats::Normal({rows, width}, 9, scale),
                   dy = Floats::Normal({rows, width}, 10);
      const Floats gate_up = Floats::Normal({rows, 2 * width}, 11, scale);
      std::vector<std::tuple<Floats, Floats, Floats, Floats>> results;
      for (Kernels* kernels : {reference_.get(), fast_.get()}) {
        Floats y({rows, width}), dx = dy, z({rows, width}), d_gate_up({rows, 2 * width});
        kernels->GeluForward(x.view(), y.view());
        kernels->GeluBackward(dx.view(), x.view(), dx.view());  // dx aliases dy
        kernels->SwigluForward(gate_up.view(), z.view());
        kernels->SwigluBackward(dy.view(), gate_up.view(), d_gate_up.view());
        results.emplace_back(y, dx, z, d_gate_up);
      }
      EXPECT_TRUE(Near(std::get<0>(results[1]), std::get<0>(results[0]), 1e-6));
      EXPECT_TRUE(Near(std::get<1>(results[1]), std::get<1>(results[0]), 2e-6));
      EXPECT_TRUE(Near(std::get<2>(results[1]), std::get<2>(results[0]), 1e-6));
      EXPECT_TRUE(Near(std::get<3>(results[1]), std::get<3>(results[0]), 2e-6));
    }
  }
}

TEST_P(KernelsContractTest, Rope) {
  for (const int64_t head_dim : {2, 32, 64, 80}) {
    for (const bool inverse : {false, true}) {
      const int64_t sequences = 2, length = 37, heads = 3, width = heads * head_dim + 5;
      Floats expected = Floats::Normal({sequences * length, width}, 12), actual = expected;
      reference_->Rope({expected.view(), sequences, length, heads, head_dim, 10000.0f, inverse});
      fast_->Rope({actual.view(), sequences, length, heads, head_dim, 10000.0f, inverse});
      EXPECT_TRUE(Near(actual, expected, 1e-6));
    }
  }
}

TEST_P(KernelsContractTest, RopeTurnsAPieceLikeTheWhole) {
  const Floats x = Floats::Normal({40, 64}, 13);
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats whole = x, pieces = x;
    kernels->Rope({whole.view(), 2, 20, 2, 32, 500.0f, false});
    for (const auto& [begin, end] : {std::pair(0, 7), std::pair(7, 33), std::pair(33, 40)}) {
      kernels->Rope({Rows(pieces.view(), begin, end - begin), 2, 20, 2, 32, 500.0f, false, begin});
    }
    EXPECT_TRUE(SameBits(pieces, whole));
  }
}

TEST_P(KernelsContractTest, RopeTurnsBack) {
  const Floats x = Floats::Normal({40, 64}, 13);
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats turned = x;
    kernels->Rope({turned.view(), 2, 20, 2, 32, 500.0f, false});
    EXPECT_FALSE(Near(turned, x, 1e-2));
    kernels->Rope({turned.view(), 2, 20, 2, 32, 500.0f, true});
    EXPECT_TRUE(Near(turned, x, 1e-6));
  }
}

TEST_P(KernelsContractTest, RopeTablesOfSeveralLengthsAndBasesDoNotMix) {
  for (const float theta : {10000.0f, 500.0f, 10000.0f}) {
    for (const int64_t length : {4, 9, 2}) {
      Floats expected = Floats::Normal({length, 16}, 14), actual = expected;
      reference_->Rope({expected.view(), 1, length, 1, 16, theta, false});
      fast_->Rope({actual.view(), 1, length, 1, 16, theta, false});
      EXPECT_TRUE(Near(actual, expected, 1e-6));
    }
  }
}

TEST_P(KernelsContractTest, Embedding) {
  for (const auto& [rows, width] : kShapes) {
    for (const bool with_positions : {true, false}) {
      const int64_t length = 4;
      const Ints tokens = Ints::Uniform({rows}, 0, 6, 15);  // tokens repeat
      const Floats table = Floats::Normal({6, width}, 16), dy = Floats::Normal({rows, width}, 17);
      Floats positions = Floats::Normal({length + 1, width}, 18);
      std::vector<std::tuple<Floats, Floats, Floats>> results;
      for (Kernels* kernels : {reference_.get(), fast_.get()}) {
        Floats y({rows, width}), d_table = table, d_positions = positions;
        kernels->EmbeddingForward(tokens.view(), table.view(),
                                  with_positions ? positions.view() : TensorView{}, length,
                                  y.view());
        kernels->EmbeddingBackward(dy.view(), tokens.view(), length, d_table.view(),
                                   with_positions ? d_positions.view() : TensorView{});
        results.emplace_back(y, d_table, d_positions);
      }
      // The interface fixes the order, so the bits are fixed too.
      EXPECT_TRUE(SameBits(std::get<0>(results[1]), std::get<0>(results[0])));
      EXPECT_TRUE(SameBits(std::get<1>(results[1]), std::get<1>(results[0])));
      EXPECT_TRUE(SameBits(std::get<2>(results[1]), std::get<2>(results[0])));
    }
  }
}

// So many tokens that sorting them takes several blocks, and so large a vocabulary that it takes
// several digits.
TEST_P(KernelsContractTest, EmbeddingOfManyTokens) {
  const int64_t rows = 5000, width = 3;
  for (const int64_t vocabulary : {1, 256, 257, 70000}) {
    SCOPED_TRACE(vocabulary);
    // Squared, so that many are small: these occur often, most others once or not at all.
    Ints tokens = Ints::Uniform({rows}, 0, static_cast<int32_t>(vocabulary), 44);
    for (int32_t& token : tokens.values())
      token = static_cast<int32_t>(int64_t{token} * token / vocabulary);
    const Floats dy = Floats::Normal({rows, width}, 45);
    const Floats table = Floats::Normal({vocabulary, width}, 46);
    Floats expected = table, actual = table;
    reference_->EmbeddingBackward(dy.view(), tokens.view(), 1, expected.view(), {});
    fast_->EmbeddingBackward(dy.view(), tokens.view(), 1, actual.view(), {});
    EXPECT_TRUE(SameBits(actual, expected));
  }
}

TEST_P(KernelsContractTest, Gathers) {
  for (const auto& [rows, width] : kShapes) {
    const int64_t top_k = rows % 2 == 0 ? 3 : 6, sources = 11;
    const Floats x = Floats::Normal({sources, width}, 19), a = Floats::Normal({rows, width}, 20);
    const Floats weight = Floats::Normal({rows}, 21), weights = Floats::Normal({rows, top_k}, 22);
    const Ints index = Ints::Uniform({rows}, 0, sources, 23);
    const Ints slot = Ints::Uniform({rows, top_k}, -1, sources, 24);
    std::vector<std::vector<Floats>> results;
    for (Kernels* kernels : {reference_.get(), fast_.get()}) {
      std::vector<Floats> out(6, a);
      kernels->GatherRows(x.view(), index.view(), out[0].view());
      kernels->GatherScaledRows(x.view(), index.view(), weight.view(), out[1].view());
      kernels->GatherSum(x.view(), slot.view(), weights.view(), false, out[2].view());
      kernels->GatherSum(x.view(), slot.view(), weights.view(), true, out[3].view());
      kernels->GatherSum(x.view(), slot.view(), {}, false, out[4].view());
      kernels->GatherSum(x.view(), slot.view(), {}, true, out[5].view());
      out.emplace_back(Shape{rows, top_k});
      kernels->GatherDot(a.view(), x.view(), slot.view(), out[6].view());
      results.push_back(out);
    }
    EXPECT_TRUE(SameBits(results[1][0], results[0][0]));
    EXPECT_TRUE(SameBits(results[1][1], results[0][1]));
    for (size_t i = 2; i < 6; ++i) EXPECT_TRUE(Near(results[1][i], results[0][i], 1e-6));
    EXPECT_TRUE(Near(results[1][6], results[0][6], 2e-5));
  }
}

TEST_P(KernelsContractTest, DroppedSlotsAddNothing) {
  const Floats x = Stored(Floats::Normal({2, 5}, 25));
  const Floats weights({2, 2}, 2);
  Ints slot({2, 2}, -1);
  slot[2] = 1;
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats fresh({2, 5}, 7), added({2, 5}, 7), d({2, 2}, 7);
    kernels->GatherSum(x.view(), slot.view(), weights.view(), false, fresh.view());
    kernels->GatherSum(x.view(), slot.view(), weights.view(), true, added.view());
    kernels->GatherDot(x.view(), x.view(), slot.view(), d.view());
    for (int64_t i = 0; i < 5; ++i) {
      EXPECT_EQ(fresh[i], 0);
      EXPECT_EQ(added[i], 7);
      EXPECT_FLOAT_EQ(fresh[5 + i], 2 * x[5 + i]);
      EXPECT_FLOAT_EQ(added[5 + i], Stored(7 + 2 * x[5 + i]));
    }
    EXPECT_EQ(d[0], 0);
    EXPECT_EQ(d[1], 0);
    EXPECT_NE(d[2], 0);
    EXPECT_EQ(d[3], 0);
  }
}

TEST_P(KernelsContractTest, CrossEntropy) {
  for (const auto& [rows, vocab] : kShapes) {
    for (const bool want_gradient : {true, false}) {
      const Ints labels = Ints::Uniform({rows}, 0, static_cast<int32_t>(vocab), 26);
      Floats expected = Floats::Normal({rows, vocab}, 27, 4), actual = expected;
      double expected_loss = 3, actual_loss = 3;  // accumulated
      reference_->CrossEntropy(
          {expected.view(), labels.view(), 0.25f, want_gradient, View(&expected_loss, {1})});
      fast_->CrossEntropy(
          {actual.view(), labels.view(), 0.25f, want_gradient, View(&actual_loss, {1})});
      EXPECT_NEAR(actual_loss, expected_loss, 1e-6 * static_cast<double>(rows + 1));
      EXPECT_TRUE(Near(actual, expected, 5e-7));
      if (!want_gradient) {
        EXPECT_TRUE(SameBits(actual, Stored(Floats::Normal({rows, vocab}, 27, 4))));
      }
    }
  }
}

TEST_P(KernelsContractTest, CrossEntropySurvivesLargeLogits) {
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats logits({2, 40}, -32768);
    logits[7] = 32768;
    logits[40 + 9] = 32768;
    Ints labels({2}, 7);
    double loss = 0;
    kernels->CrossEntropy({logits.view(), labels.view(), 1.0f, true, View(&loss, {1})});
    // The first row is certain and right, the second certain and wrong.
    EXPECT_NEAR(loss, 65536, 1e-3);
    EXPECT_EQ(logits[7], 0);
    EXPECT_EQ(logits[40 + 7], -1);
    EXPECT_EQ(logits[40 + 9], 1);
    EXPECT_EQ(logits[0], 0);
  }
}

TEST_P(KernelsContractTest, AdamW) {
  for (const int64_t n : {0, 1, 7, 64, 1003}) {
    Floats parameter = Floats::Normal({n}, 28), m({n}), v({n});
    Floats cpu_parameter = parameter, cpu_m = m, cpu_v = v;
    for (int64_t step = 1; step <= 5; ++step) {
      const Floats gradient = Floats::Normal({n}, 28 + static_cast<uint64_t>(step), 0.1f);
      AdamWArgs args;
      args.gradient = gradient.view();
      args.learning_rate = 1e-2;
      args.weight_decay = 0.1;
      args.gradient_scale = 0.5;
      args.step = step;
      args.parameter = parameter.view(), args.m = m.view(), args.v = v.view();
      reference_->AdamW(args);
      args.parameter = cpu_parameter.view(), args.m = cpu_m.view(), args.v = cpu_v.view();
      fast_->AdamW(args);
    }
    EXPECT_TRUE(Near(cpu_parameter, parameter, 2e-6));
    EXPECT_TRUE(Near(cpu_m, m, 1e-7));
    EXPECT_TRUE(Near(cpu_v, v, 1e-7));
  }
}

TEST_P(KernelsContractTest, AdamWLeavesTheParameterRounded) {
  Floats parameter = Floats::Normal({71}, 31), m({71}), v({71});
  const Floats gradient = Floats::Normal({71}, 32);
  std::vector<BFloat16> rounded(71);
  AdamWArgs args;
  args.parameter = parameter.view();
  args.m = m.view();
  args.v = v.view();
  args.gradient = gradient.view();
  args.learning_rate = 0.01;
  args.rounded = View(rounded.data(), {71});
  fast_->AdamW(args);
  for (size_t i = 0; i < rounded.size(); ++i)
    EXPECT_EQ(rounded[i], BFloat16::FromFloat(parameter.values()[i])) << i;
}

// Ties go to the even neighbour; what is beyond the largest number is infinite.
TEST_P(KernelsContractTest, Convert) {
  Floats values = Floats::Normal({3, 37}, 33, 1e3f);
  const float edges[] = {0.0f,     -0.0f,    1.00390625f, 1.01171875f, -1.00390625f,
                         3.4e38f,  -3.4e38f, 1e-40f,      -1e-45f,     1.0f / 3,
                         65280.0f, INFINITY, -INFINITY,   65504.0f,    std::nanf("")};
  std::copy(std::begin(edges), std::end(edges), values.values().begin());
  std::vector<BFloat16> narrow(values.values().size());
  fast_->Convert(values.view(), View(narrow.data(), values.shape()));
  EXPECT_EQ(narrow[2].ToFloat(), 1.0f);
  EXPECT_EQ(narrow[3].ToFloat(), 1.015625f);
  EXPECT_EQ(narrow[5].ToFloat(), INFINITY);
  Floats back(values.shape());
  fast_->Convert(View(narrow.data(), values.shape()), back.view());
  for (size_t i = 0; i < narrow.size(); ++i) {
    const float value = values.values()[i];
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(narrow[i].ToFloat()) && std::isnan(back.values()[i]));
    } else {
      EXPECT_EQ(narrow[i], BFloat16::FromFloat(value)) << value;
      EXPECT_EQ(back.values()[i], narrow[i].ToFloat());
      if (std::abs(value) > 3e38f) continue;
      EXPECT_LE(std::abs(back.values()[i] - value), std::abs(value) / 256 + 1e-40f);
    }
  }
}

TEST_P(KernelsContractTest, TheFirstAdamWStepMovesByTheLearningRate) {
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    Floats parameter({3}, 1), m({3}), v({3});
    const Floats gradient({3}, -0.3f);
    AdamWArgs args;
    args.parameter = parameter.view(), args.m = m.view(), args.v = v.view();
    args.gradient = gradient.view();
    args.learning_rate = 0.125;
    kernels->AdamW(args);
    EXPECT_NEAR(parameter[1], 1.125, 1e-6);
  }
}

TEST_P(KernelsContractTest, NotANumberStaysVisible) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Floats x({1, 20}, 1);
  x[3] = nan;
  x[18] = nan;
  Floats y({1, 20}), z({1, 10});
  fast_->GeluForward(x.view(), y.view());
  fast_->SwigluForward(x.view(), z.view());
  EXPECT_TRUE(y[3] != y[3] && y[18] != y[18] && z[3] != z[3] && z[8] != z[8]);
  EXPECT_EQ(y[4], y[5]);
  const Ints labels({1});
  double loss = 0;
  fast_->CrossEntropy({x.view(), labels.view(), 1.0f, true, View(&loss, {1})});
  EXPECT_TRUE(loss != loss);
}

INSTANTIATE_TEST_SUITE_P(Fast, KernelsContractTest, ::testing::ValuesIn(Implementations()), NameOf);

}  // namespace
}  // namespace weft
