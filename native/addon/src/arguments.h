// SPDX-License-Identifier: Apache-2.0
// Arguments of a call, checked. A wrong one is a JavaScript TypeError, thrown at once.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sealift {

inline std::string StringArgument(const Napi::CallbackInfo& info, size_t at, const char* name) {
  if (!info[at].IsString())
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a string");
  std::string text = info[at].As<Napi::String>();
  if (text.find('\0') != std::string::npos)
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must not contain NUL");
  return text;
}

/// A string that names something: not empty, no longer than the kernel's own names.
inline std::string NameArgument(const Napi::CallbackInfo& info, size_t at, const char* name,
                                size_t longest) {
  std::string text = StringArgument(info, at, name);
  if (text.empty() || text.size() > longest)
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must have 1 to " +
                                               std::to_string(longest) + " characters");
  return text;
}

/// An absolute path; a network namespace's too.
inline std::string PathArgument(const Napi::CallbackInfo& info, size_t at, const char* name) {
  std::string path = StringArgument(info, at, name);
  if (path.empty() || path[0] != '/')
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be an absolute path");
  return path;
}

inline uint32_t NumberArgument(const Napi::CallbackInfo& info, size_t at, const char* name,
                               uint32_t largest) {
  double number = info[at].IsNumber() ? info[at].As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= largest) || number != static_cast<uint32_t>(number))
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a whole number, 0 to " +
                                               std::to_string(largest));
  return static_cast<uint32_t>(number);
}

inline std::vector<uint32_t> NumbersArgument(const Napi::CallbackInfo& info, size_t at,
                                             const char* name, uint32_t largest) {
  std::vector<uint32_t> numbers;
  if (!info[at].IsArray())
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be an array");
  Napi::Array array = info[at].As<Napi::Array>();
  for (uint32_t n = 0; n < array.Length(); n++) {
    Napi::Value value = array[n];
    double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (!(number >= 0 && number <= largest) || number != static_cast<uint32_t>(number))
      throw Napi::TypeError::New(info.Env(), std::string(name) + " must be whole numbers, 0 to " +
                                                 std::to_string(largest));
    numbers.push_back(static_cast<uint32_t>(number));
  }
  return numbers;
}

inline bool BooleanArgument(const Napi::CallbackInfo& info, size_t at, const char* name) {
  if (!info[at].IsBoolean())
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be true or false");
  return info[at].As<Napi::Boolean>();
}

}  // namespace sealift
