// SPDX-License-Identifier: Apache-2.0
// The rxe driver's methods QUERY, HOLD and RESUME.
#pragma once

#include <napi.h>
#include <sealift_rxe.h>

#include <string>

#include "uverbs.h"

namespace sealift {

/// What the driver says of a device. Throws Failure `AbiMismatch` for another driver or another version of it.
sealift_rxe_query QueryRxe(const UverbsContext& context, const std::string& device);
/// Throws the Failure of a method that has failed with this errno.
[[noreturn]] void RxeRefused(int error, const std::string& attempted);

void ExportRxe(Napi::Env env, Napi::Object exports);

}  // namespace sealift
