#include "runtime/batch_shape_of.h"

namespace weft {

BatchShape BatchShapeOf(const TrainingOptions& training, const Topology& topology) {
  BatchShape batch;
  batch.length = training.sequence_length;
  batch.micro_batches = training.micro_batches;
  batch.global_sequences = training.global_batch;
  batch.sequences = training.global_batch / topology.world_size / training.micro_batches;
  return batch;
}

}  // namespace weft
