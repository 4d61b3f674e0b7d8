// SPDX-License-Identifier: Apache-2.0
// Gratuitous ARP and unsolicited neighbour advertisements.
#pragma once

#include <napi.h>

namespace sealift {
void ExportAnnounce(Napi::Env env, Napi::Object exports);
}
