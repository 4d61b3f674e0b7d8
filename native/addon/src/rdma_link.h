// SPDX-License-Identifier: Apache-2.0
// RDMA links: add, delete, move, list.
#pragma once

#include <napi.h>

namespace sealift {
void ExportRdmaLink(Napi::Env env, Napi::Object exports);
}
