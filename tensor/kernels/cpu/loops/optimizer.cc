#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

void AdamW(const AdamWLoopArgs& args) {
  ForEach(args.n, [&](int64_t i, auto lanes) {
    const Vec parameter = lanes.Read(args.parameter + i);
    const Vec gradient = Set(args.gradient_scale) * lanes.Read(args.gradient + i);
    const Vec m =
        Fma(Set(args.beta1), lanes.Read(args.m + i), Set(args.one_minus_beta1) * gradient);
    const Vec v = Fma(Set(args.beta2), lanes.Read(args.v + i),
                      Set(args.one_minus_beta2) * gradient * gradient);
    const Vec root = Sqrt(v * Set(args.inverse_v_correction)) + Set(args.epsilon);
    const Vec update =
        Fma(Set(args.weight_decay), parameter, m * Set(args.inverse_m_correction) / root);
    lanes.Write(args.m + i, m);
    lanes.Write(args.v + i, v);
    lanes.Write(args.parameter + i, Fma(Set(-args.learning_rate), update, parameter));
  });
}

}  // namespace

void FillOptimizer(Loops& loops) { loops.adamw = AdamW; }

}  // namespace weft::WEFT_ISA
