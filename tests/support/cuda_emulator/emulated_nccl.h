#pragma once

// What tests may ask of the emulated NCCL; the code under test sees nccl.h alone.

namespace cuda_emulator {

// false: as on a machine without NCCL's library.
void SetNccl(bool there);
// Every communicator that lives finds out that it has lost a peer.
void LoseNcclPeers();
// maxCTAs of the communicator that was called last.
int NcclMaxCtas();

}  // namespace cuda_emulator
