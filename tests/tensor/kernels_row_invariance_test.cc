#include <functional>

#include "tests/tensor/kernels_support.h"

// Cutting a batch of rows anywhere gives the same bits, for every operation that maps rows to rows.
// (Products: see kernels_gemm_test.cc; sequences: see kernels_attention_test.cc.)

namespace weft {
namespace {

constexpr int64_t kRows = 41;

// One operation on rows [begin, begin + count) of its operands, whose outputs stand in the matrices
// of `outputs`.
struct RowOperation {
  std::string name;
  std::vector<Floats> outputs;  // their contents before the operation
  std::function<void(Kernels&, std::vector<Floats>& outputs, int64_t begin, int64_t count)> run;
};

ConstTensorView Part(const Floats& x, int64_t begin, int64_t count) {
  return Rows(x.view(), begin, count);
}
TensorView Part(Floats& x, int64_t begin, int64_t count) { return Rows(x.view(), begin, count); }

// `count` elements of a vector that has one for each row.
TensorView PartOfVector(Floats& x, int64_t begin, int64_t count) {
  return View(x.values().data() + begin, {count});
}

std::vector<RowOperation> Operations(int64_t width) {
  const Shape shape{kRows, width};
  const Floats x = Floats::Normal(shape, 1, 2), dy = Floats::Normal(shape, 2);
  const Floats wide = Floats::Normal({kRows, 2 * width}, 3, 2);
  const Floats gamma = Floats::Normal({width}, 4), beta = Floats::Normal({width}, 5);
  const Floats source = Floats::Normal({9, width}, 6), weights = Floats::Normal({kRows, 3}, 7);
  const Ints slot = Ints::Uniform({kRows, 3}, -1, 9, 8), index = Ints::Uniform({kRows, 1}, 0, 9, 9);
  const Floats weight = Floats::Normal({kRows, 1}, 10);
  const Floats empty(shape), statistics({kRows});
  std::vector<RowOperation> out;
  out.push_back({"AddBias", {x}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
                   k.AddBias(beta.view(), Part(o[0], b, n));
                 }});
  out.push_back({"Add", {empty}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
                   k.Add(Part(x, b, n), Part(dy, b, n), Part(o[0], b, n));
                 }});
  out.push_back({"Scale", {x}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
                   k.Scale(0.3f, Part(o[0], b, n));
                 }});
  for (const bool centered : {true, false}) {
    out.push_back(
        {centered ? "LayerNorm" : "RmsNorm",
         {empty, empty, statistics, statistics},
         [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
           Floats d_gamma({width}), d_beta({width});
           const NormForwardArgs forward{Part(x, b, n),
                                         gamma.view(),
                                         beta.view(),
                                         1e-5f,
                                         Part(o[0], b, n),
                                         PartOfVector(o[2], b, n),
                                         PartOfVector(o[3], b, n)};
           const NormBackwardArgs backward{
               Part(dy, b, n),           Part(x, b, n),    gamma.view(),   PartOfVector(o[2], b, n),
               PartOfVector(o[3], b, n), Part(o[1], b, n), d_gamma.view(), d_beta.view()};
           if (centered) {
             k.LayerNormForward(forward);
             k.LayerNormBackward(backward);
           } else {
             k.RmsNormForward(forward);
             k.RmsNormBackward(backward);
           }
         }});
  }
  out.push_back(
      {"Gelu", {empty, empty}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
         k.GeluForward(Part(x, b, n), Part(o[0], b, n));
         k.GeluBackward(Part(dy, b, n), Part(x, b, n), Part(o[1], b, n));
       }});
  out.push_back(
      {"Swiglu", {empty, wide}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
         k.SwigluForward(Part(wide, b, n), Part(o[0], b, n));
         k.SwigluBackward(Part(dy, b, n), Part(wide, b, n), Part(o[1], b, n));
       }});
  out.push_back({"Gate",
                 {empty, Floats({kRows, 1}), empty},
                 [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
                   Ints chosen({n, 1});
                   k.GateForward({Part(x, b, n), 1, false, Part(o[0], b, n), chosen.view(),
                                  Part(o[1], b, n)});
                   k.GateBackward({Part(o[0], b, n), chosen.view(), Part(o[1], b, n),
                                   Part(weight, b, n), Part(dy, b, n), false, Part(o[2], b, n)});
                 }});
  out.push_back(
      {"GatherRows", {empty, empty}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
         k.GatherRows(source.view(), Rows(index.view(), b, n), Part(o[0], b, n));
         k.GatherScaledRows(source.view(), Rows(index.view(), b, n), Part(weight, b, n),
                            Part(o[1], b, n));
       }});
  out.push_back({"GatherSum",
                 {x, x, Floats({kRows, 3})},
                 [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
                   k.GatherSum(source.view(), Rows(slot.view(), b, n), Part(weights, b, n), true,
                               Part(o[0], b, n));
                   k.GatherSum(source.view(), Rows(slot.view(), b, n), {}, false, Part(o[1], b, n));
                   k.GatherDot(Part(dy, b, n), source.view(), Rows(slot.view(), b, n),
                               Part(o[2], b, n));
                 }});
  out.push_back(
      {"CrossEntropy", {x}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
         const Ints labels({n}, static_cast<int32_t>(width / 2));
         double loss = 0;
         k.CrossEntropy({Part(o[0], b, n), labels.view(), 0.5f, true, View(&loss, {1})});
       }});
  out.push_back(
      {"Embedding", {empty}, [=](Kernels& k, std::vector<Floats>& o, int64_t b, int64_t n) {
         k.EmbeddingForward(Rows(index.view(), b, n), source.view(), {}, 1, Part(o[0], b, n));
       }});
  return out;
}

class KernelsRowInvarianceTest : public FastKernelsTest {};

TEST_P(KernelsRowInvarianceTest, AnyCutGivesTheSameBits) {
  for (const int64_t width : {1, 8, 20, 64, 131}) {
    for (const RowOperation& operation : Operations(width)) {
      std::vector<Floats> whole = operation.outputs;
      operation.run(*fast_, whole, 0, kRows);
      for (const std::vector<int64_t>& cuts :
           std::vector<std::vector<int64_t>>{{1, 2, 3}, {16, 17, 33}, {0, 7, 40}, {20, 20, 41}}) {
        std::vector<Floats> cut = operation.outputs;
        int64_t begin = 0;
        for (const int64_t end : cuts) {
          operation.run(*fast_, cut, begin, end - begin);
          begin = end;
        }
        operation.run(*fast_, cut, begin, kRows - begin);
        for (size_t i = 0; i < whole.size(); ++i) {
          ASSERT_TRUE(SameBits(cut[i], whole[i]))
              << operation.name << ", output " << i << ", width " << width;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fast, KernelsRowInvarianceTest, ::testing::ValuesIn(Implementations()),
                         NameOf);

}  // namespace
}  // namespace weft
