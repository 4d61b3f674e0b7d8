// SPDX-License-Identifier: Apache-2.0
// Routes, routing rules and proxy neighbour entries that belong to Sealift: they carry a routing protocol number of
// its own, so that they are found again after a restart and nobody else's are touched.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "interface.h"

namespace sealift {

/// rtm_protocol and NDA_PROTOCOL of everything that Sealift adds. Not among those of rtnetlink.h.
constexpr uint8_t kProtocol = 0x5a;

/// An address from text, with the longest prefix. Throws Failure `BadArgument`.
Address ParseAddress(const std::string& text);

/// As `10.0.0.1/24`; without a prefix length the longest one. Throws Failure `BadArgument`.
Address ParsePrefix(const std::string& text);

/// The interface's index in the calling thread's namespace. Throws Failure `NoSuchInterface`.
uint32_t IndexOf(const std::string& name);

void ExportRoute(Napi::Env env, Napi::Object exports);
void ExportNeighbour(Napi::Env env, Napi::Object exports);
void ExportAddresses(Napi::Env env, Napi::Object exports);
void ExportAddressChange(Napi::Env env, Napi::Object exports);
void ExportKeptRoutes(Napi::Env env, Napi::Object exports);

}  // namespace sealift
