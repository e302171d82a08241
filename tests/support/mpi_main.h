#pragma once

#include "comm/mpi/mpi_session.h"

namespace weft {

// The session of a test that runs under mpirun. mpi_main.cc's main() opens it before the first test
// and finalizes it after the last. Every process runs the same tests in the same order; rank 0
// prints them, the others print what fails.
MpiSession& TestMpiSession();

}  // namespace weft
