#include "tensor/kernels/cpu/loops/families.h"

#define WEFT_STRING_INNER_(x) #x
#define WEFT_STRING_(x) WEFT_STRING_INNER_(x)

namespace weft::WEFT_ISA {

const Loops& Table() {
  static Loops table = [] {
    Loops loops{};
    loops.name = WEFT_STRING_(WEFT_ISA);
    FillActivation(loops);
    FillAttention(loops);
    FillElementwise(loops);
    FillEmbedding(loops);
    FillGate(loops);
    FillLoss(loops);
    FillNorm(loops);
    FillOptimizer(loops);
    FillRope(loops);
    FillRows(loops);
    return loops;
  }();
  return table;
}

}  // namespace weft::WEFT_ISA
