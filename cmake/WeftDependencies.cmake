# Every third-party package, found once. A target uses one only through the DOOR it is allowed in
# (docs/architecture.md, "Who may link whom").
find_package(Threads REQUIRED)
find_package(absl REQUIRED CONFIG)
find_package(Protobuf REQUIRED)
find_package(gRPC REQUIRED CONFIG)
find_package(yaml-cpp REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(dnnl REQUIRED CONFIG)
find_package(MPI REQUIRED COMPONENTS C)
if(WEFT_TESTS)
  find_package(GTest REQUIRED CONFIG)
endif()
