// SPDX-License-Identifier: Apache-2.0
// The driver methods DUMP_NAKS and RESTORE_NAK (native/rxe/uapi/sealift_rxe_naks.h).
#include "rxe_naks.h"

#include <sealift_rxe.h>

#include <cerrno>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "rxe.h"
#include "uverbs.h"

namespace sealift {

namespace {

// Numbers of a NAK in JavaScript's list.
constexpr size_t kFields = 3;

std::vector<sealift_rxe_nak> KeptNaks(const std::string& device) {
  UverbsContext context(device);
  QueryRxe(context, device);
  // Most of the time there is none.
  std::vector<sealift_rxe_nak> naks(64);
  int error = ENOSPC;
  for (int tries = 0; tries < 5 && error == ENOSPC; tries++) {
    sealift_rxe_buffer buffer{};
    buffer.address = reinterpret_cast<uintptr_t>(naks.data());
    buffer.size = static_cast<uint32_t>(naks.size() * sizeof(naks[0]));
    sealift_rxe_naks answer{};
    error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_NAKS)
                .In(SEALIFT_RXE_ATTR_DUMP_NAKS_IN, &buffer, sizeof(buffer))
                .Out(SEALIFT_RXE_ATTR_DUMP_NAKS_OUT, &answer, sizeof(answer))
                .Run(context.fd());
    naks.resize(answer.count + (error == ENOSPC ? 64 : 0));
  }
  if (error) RxeRefused(error, "list the NAKs of " + device);
  return naks;
}

// Indexes of those that the driver refuses: no such queue pair, or it awaits no such answer.
std::vector<uint32_t> RestoreNaks(const std::string& device,
                                  const std::vector<sealift_rxe_nak>& naks) {
  UverbsContext context(device);
  QueryRxe(context, device);
  std::vector<uint32_t> refused;
  for (uint32_t at = 0; at < naks.size(); at++) {
    int error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESTORE_NAK)
                    .In(SEALIFT_RXE_ATTR_RESTORE_NAK_IN, &naks[at], sizeof(naks[at]))
                    .Run(context.fd());
    if (error == ENOENT || error == EINVAL)
      refused.push_back(at);
    else if (error)
      RxeRefused(error, "give a NAK to " + device);
  }
  return refused;
}

Napi::Object ToNak(Napi::Env env, const sealift_rxe_nak& from) {
  Napi::Object nak = Napi::Object::New(env);
  nak.Set("qpn", from.qpn);
  nak.Set("psn", from.psn);
  nak.Set("syndrome", from.syndrome);
  return nak;
}

Napi::Value RxeNaks(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  return Promise<std::vector<sealift_rxe_nak>>(
      info.Env(), PathArgument(info, 0, "netns"), [device] { return KeptNaks(device); },
      [](Napi::Env env, const std::vector<sealift_rxe_nak>& naks) {
        return ToArray(env, naks, ToNak);
      });
}

Napi::Value RxeRestoreNaks(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  std::vector<uint32_t> numbers = NumbersArgument(info, 2, "naks", UINT32_MAX);
  if (numbers.size() % kFields != 0)
    throw Napi::TypeError::New(info.Env(), "naks must have three numbers each");
  std::vector<sealift_rxe_nak> naks;
  for (size_t at = 0; at < numbers.size(); at += kFields)
    naks.push_back({numbers[at], numbers[at + 1], numbers[at + 2], 0});
  return Promise<std::vector<uint32_t>>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return RestoreNaks(device, naks); },
      [](Napi::Env env, const std::vector<uint32_t>& refused) {
        return ToArray(env, refused,
                       [](Napi::Env in, uint32_t at) { return Napi::Number::New(in, at); });
      });
}

}  // namespace

void ExportRxeNaks(Napi::Env env, Napi::Object exports) {
  exports.Set("rxeNaks", Napi::Function::New<RxeNaks>(env));
  exports.Set("rxeRestoreNaks", Napi::Function::New<RxeRestoreNaks>(env));
}

}  // namespace sealift
