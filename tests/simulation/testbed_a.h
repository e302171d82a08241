#pragma once

#include "simulation/cluster.h"

namespace weft {

// FSMoE's Testbed A, in seconds (configs/clusters/testbed_a.yaml has the same constants).
inline Cluster TestbedA() {
  Cluster cluster;
  cluster.name = "testbed_a";
  cluster.topology = {48, 8};
  cluster.speeds.launch = 0;
  cluster.matmul = Line{4.26e-5, 9.16e-14};
  cluster.all_to_all = MeasuredCollective{{.28745790958e-3, 2.3201445211e-9}, 6};
  cluster.all_gather = MeasuredCollective{{.33789345076e-3, 2.3477633843e-10}, 8};
  cluster.reduce_scatter = MeasuredCollective{{.39538829900e-3, 2.2171110136e-10}, 8};
  cluster.all_reduce = MeasuredCollective{{.51136532051e-3, 4.9511764052e-9}, 6};
  return cluster;
}

}  // namespace weft
