// SPDX-License-Identifier: Apache-2.0
// Objects of an RDMA device, from the core's resource tracking.
#pragma once

#include <napi.h>

namespace sealift {
void ExportRdmaResources(Napi::Env env, Napi::Object exports);
}
