// SPDX-License-Identifier: Apache-2.0
// nftables rules.
#pragma once

#include <napi.h>

namespace sealift {
void ExportNft(Napi::Env env, Napi::Object exports);
}
