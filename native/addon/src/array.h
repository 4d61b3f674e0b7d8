// SPDX-License-Identifier: Apache-2.0
// JavaScript arrays from vectors.
#pragma once

#include <napi.h>

#include <vector>

namespace sealift {

/// A JavaScript array of `convert(env, element)` for each element.
template <typename T, typename Convert>
Napi::Array ToArray(Napi::Env env, const std::vector<T>& from, Convert convert) {
  Napi::Array array = Napi::Array::New(env, from.size());
  for (uint32_t at = 0; at < from.size(); at++) array[at] = convert(env, from[at]);
  return array;
}

}  // namespace sealift
