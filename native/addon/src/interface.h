// SPDX-License-Identifier: Apache-2.0
// A network interface and its addresses, from rtnetlink.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sealift {

struct Address {
  int family = 0;  ///< AF_INET or AF_INET6
  std::array<uint8_t, 16> bytes{};
  uint8_t prefix = 0;
  /// What else there is of an interface's address; of others nothing.
  uint8_t scope = 0;
  uint32_t flags = 0;                              ///< IFA_F_*
  std::optional<std::array<uint8_t, 16>> peer;     ///< of a point-to-point link
  std::optional<std::array<uint8_t, 16>> broadcast;
  std::string label;
  uint8_t protocol = 0;                            ///< IFAPROT_*: who has made it
  uint32_t metric = 0;                             ///< of the routes that the kernel makes; 0: its own
  uint32_t valid = UINT32_MAX;                     ///< seconds; UINT32_MAX: for ever
  uint32_t preferred = UINT32_MAX;
  size_t Length() const;
  std::string Text() const;
};

struct Interface {
  uint32_t index = 0;
  uint32_t mtu = 0;
  uint32_t flags = 0;
  std::vector<uint8_t> mac;
  std::vector<Address> addresses;
};

/// Of the calling thread's namespace. Throws Failure `NoSuchInterface`.
Interface ReadInterface(const std::string& name);

void ExportInterface(Napi::Env env, Napi::Object exports);

}  // namespace sealift
