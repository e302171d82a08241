#pragma once

#include "tensor/kernels/cpu/loops/loops.h"

// One function per loop file: it enters the loops of its family, as compiled for WEFT_ISA, into the
// table.

namespace weft::WEFT_ISA {

void FillActivation(Loops& loops);
void FillAttention(Loops& loops);
void FillElementwise(Loops& loops);
void FillEmbedding(Loops& loops);
void FillGate(Loops& loops);
void FillLoss(Loops& loops);
void FillNorm(Loops& loops);
void FillOptimizer(Loops& loops);
void FillRope(Loops& loops);
void FillRows(Loops& loops);

}  // namespace weft::WEFT_ISA
