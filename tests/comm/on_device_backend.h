#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/backend.h"
#include "tensor/device/memory.h"

namespace weft {

// For tests that have their tensors on the host: collectives of `inner` on copies of them in a
// device's memory.
class OnDeviceBackend final : public Backend {
 public:
  // Both outlive the backend and its communicators.
  OnDeviceBackend(Backend& inner, Memory& memory) : inner_(inner), memory_(memory) {}

  int rank() const override { return inner_.rank(); }
  int world_size() const override { return inner_.world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  void Abort(const absl::Status& cause) override { inner_.Abort(cause); }

 private:
  Backend& inner_;
  Memory& memory_;
};

}  // namespace weft
