#include <cmath>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

namespace weft {

// Loshchilov and Hutter 2019, algorithm 2, with the schedule folded into the learning rate.
void ReferenceKernels::AdamW(const AdamWArgs& args) {
  CheckAdamW(args);
  const double step = static_cast<double>(args.step);
  const double m_correction = 1.0 - std::pow(args.beta1, step);
  const double v_correction = 1.0 - std::pow(args.beta2, step);
  for (int64_t i = 0; i < args.parameter.elements(); ++i) {
    float& parameter = args.parameter.as<float>()[i];
    float& m = args.m.as<float>()[i];
    float& v = args.v.as<float>()[i];
    const double gradient = args.gradient_scale * args.gradient.as<float>()[i];
    const double new_m = args.beta1 * m + (1.0 - args.beta1) * gradient;
    const double new_v = args.beta2 * v + (1.0 - args.beta2) * gradient * gradient;
    const double update = new_m / m_correction / (std::sqrt(new_v / v_correction) + args.epsilon) +
                          args.weight_decay * parameter;
    m = static_cast<float>(new_m);
    v = static_cast<float>(new_v);
    parameter = static_cast<float>(parameter - args.learning_rate * update);
  }
}

}  // namespace weft
