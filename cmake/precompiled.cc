// Compiled so that its headers are precompiled (WeftPrecompiled.cmake): it has nothing of its own.
