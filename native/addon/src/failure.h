// SPDX-License-Identifier: Apache-2.0
// An error on its way to JavaScript: a code and a message.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>

namespace sealift {

class Failure : public std::runtime_error {
 public:
  Failure(std::string code, const std::string& message)
      : std::runtime_error(message), code_(std::move(code)) {}

  /// From an errno: the code is its name, the message says what was attempted.
  static Failure FromErrno(int number, const std::string& attempted) {
    const char* name = strerrorname_np(number);
    const char* text = strerrordesc_np(number);
    return Failure(name ? name : "E" + std::to_string(number),
                   attempted + ": " + (text ? text : "unknown error"));
  }

  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

}  // namespace sealift
