# Who may link whom, by top folder. A forbidden edge fails the configure step; tests/layers_test.sh proves it.
set(WEFT_MAY_LINK_base "")
set(WEFT_MAY_LINK_proto "")
set(WEFT_MAY_LINK_graph base)
set(WEFT_MAY_LINK_tensor base)
set(WEFT_MAY_LINK_comm base tensor)
set(WEFT_MAY_LINK_profiler base graph)
set(WEFT_MAY_LINK_scheduler base graph)
set(WEFT_MAY_LINK_models base graph tensor comm)
set(WEFT_MAY_LINK_runtime base graph tensor comm profiler scheduler models)
set(WEFT_MAY_LINK_simulation base graph scheduler models)
set(WEFT_MAY_LINK_launch base proto graph tensor comm profiler scheduler models runtime simulation)

# weft_check_layer(<folder> <dependency target>...): stops the configure step at the first edge the table lacks.
function(weft_check_layer folder)
  if(NOT DEFINED WEFT_MAY_LINK_${folder})
    return() # tests and bench may link anything
  endif()
  foreach(dependency IN LISTS ARGN)
    get_target_property(other ${dependency} WEFT_LAYER)
    if(NOT other)
      continue() # a third-party package: its door is checked by tests/doors_test.sh
    endif()
    if(NOT other STREQUAL folder AND NOT other IN_LIST WEFT_MAY_LINK_${folder})
      message(FATAL_ERROR "layer '${folder}' may not link '${other}' (${dependency}); "
        "allowed: ${WEFT_MAY_LINK_${folder}}. See cmake/WeftLayers.cmake.")
    endif()
  endforeach()
endfunction()
