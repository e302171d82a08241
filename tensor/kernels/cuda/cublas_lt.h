#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"

// What Weft asks of cuBLASLt, as a small typed table. The library is opened when a device is, never
// linked; cublas_lt.cc alone knows its header. On the emulator something else stands behind this
// (tests/support/cuda_emulator/cublas_lt.cc).

namespace weft {

// Column-major, as BLAS has it: element (i, j) stands at i + j * stride.
struct LtMatrix {
  DType type = DType::kBF16;
  int64_t rows = 0, columns = 0, stride = 0;
};

// c = op(a) op(b) (+ c), sums in fp32; a and b are bf16, c is bf16 or fp32. Every matrix and each
// column of it begins at a multiple of 16 bytes.
struct LtProduct {
  bool transpose_a = false, transpose_b = false, accumulate = false;
  LtMatrix a, b, c;
};

// How a product is computed: opaque numbers of the library.
struct LtAlgorithm {
  std::array<uint64_t, 8> data{};
};

// The library on one device. Thread-safe.
class CublasLt {
 public:
  virtual ~CublasLt() = default;

  virtual std::string description() const = 0;  // "cuBLASLt 13.0.2"
  // Scratch memory that a stream's products need; algorithms that want more are no candidates.
  virtual int64_t workspace_bytes() const = 0;

  // For `product`, what the library takes for fastest first; maybe none. None splits the sum over
  // k, so that an element's bits do not depend on who else computes.
  virtual std::vector<LtAlgorithm> Candidates(const LtProduct& product) = 0;
  virtual bool Takes(const LtProduct& product, const LtAlgorithm& algorithm) = 0;
  // Gives the product to the stream. `workspace`: workspace_bytes() of that stream's work alone,
  // aligned to 16 bytes. An error names what the library says.
  virtual absl::Status Run(const LtProduct& product, const LtAlgorithm& algorithm, const void* a,
                           const void* b, void* c, void* workspace, cudaStream_t stream) = 0;
};

// On this thread's device. kUnavailable, in a sentence, when the library is not there.
absl::StatusOr<std::unique_ptr<CublasLt>> OpenCublasLt();

}  // namespace weft
