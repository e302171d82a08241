#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/backend.h"
#include "tensor/device/memory.h"

namespace weft {

// Collectives on a device's memory by a backend that knows the host's alone: what is sent is copied
// to the host, what arrives is copied back, in the order of the stream that calls. Tensors on the
// host go as they are, so that counts and rows may share a communicator. Right everywhere, and as
// fast as the way to the host and back allows.
class StagedBackend final : public Backend {
 public:
  // All outlive the backend. `staging`: host memory that copies to `memory` are fast from.
  StagedBackend(Backend& inner, Memory& memory, Memory& staging)
      : inner_(inner), memory_(memory), staging_(staging) {}

  int rank() const override { return inner_.rank(); }
  int world_size() const override { return inner_.world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  void Abort(const absl::Status& cause) override { inner_.Abort(cause); }

 private:
  Backend& inner_;
  Memory& memory_;
  Memory& staging_;
};

}  // namespace weft
