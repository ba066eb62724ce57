// Turns a vector type into a path. Every path_*.cpp is compiled with its own machine instructions switched on.
#pragma once
#include "encode.hpp"
#include "step.hpp"
#include "tile.hpp"

namespace pumice {

template <class V>
constexpr Kernels kernels_of(const char* name, bool (*supported)()) {
    return {name, supported, Path<V>::quantize, Path<V>::multiply, DecodeStep<V>::run, Path<V>::encode};
}

}  // namespace pumice
