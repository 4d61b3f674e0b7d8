// SPDX-License-Identifier: Apache-2.0
// The driver methods that act on a whole rxe device: query, hold, resume
// (native/rxe/uapi/sealift_rxe.h; the ones that act on a process's objects belong to the CRIU plugin).
#include "rxe.h"

#include "arguments.h"
#include "job.h"
#include "uverbs.h"

namespace sealift {

void RxeRefused(int error, const std::string& attempted) {
  // What uverbs says of a method that the driver does not have.
  if (error == EPROTONOSUPPORT)
    throw Failure("AbiMismatch", attempted + ": the driver of this device has no Sealift methods");
  throw Failure::FromErrno(error, attempted);
}

sealift_rxe_query QueryRxe(const UverbsContext& context, const std::string& device) {
  sealift_rxe_query answer{};
  int error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_QUERY)
                  .Out(SEALIFT_RXE_ATTR_QUERY_OUT, &answer, sizeof(answer))
                  .Run(context.fd());
  if (error) RxeRefused(error, "query " + device);
  if (answer.abi_version != SEALIFT_RXE_ABI_VERSION)
    throw Failure("AbiMismatch", device + ": the driver speaks ABI " +
                                     std::to_string(answer.abi_version) + ", this build " +
                                     std::to_string(SEALIFT_RXE_ABI_VERSION));
  return answer;
}

namespace {

void Hold(const std::string& device, uint32_t rnr_timer, uint32_t timeout_ms, uint32_t flags) {
  UverbsContext context(device);
  QueryRxe(context, device);
  sealift_rxe_hold hold{rnr_timer, timeout_ms, flags, 0};
  int error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_HOLD)
                  .In(SEALIFT_RXE_ATTR_HOLD_IN, &hold, sizeof(hold))
                  .Run(context.fd());
  if (error) RxeRefused(error, "hold " + device);
}

void Resume(const std::string& device) {
  UverbsContext context(device);
  QueryRxe(context, device);
  sealift_rxe_resume resume{};
  int error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_RESUME)
                  .In(SEALIFT_RXE_ATTR_RESUME_IN, &resume, sizeof(resume))
                  .Run(context.fd());
  if (error) RxeRefused(error, "resume " + device);
}

Napi::Value RxeQuery(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  return Promise<sealift_rxe_query>(
      info.Env(), PathArgument(info, 0, "netns"),
      [device] {
        UverbsContext context(device);
        return QueryRxe(context, device);
      },
      [](Napi::Env env, const sealift_rxe_query& answer) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("abi", answer.abi_version);
        object.Set("held", answer.held != 0);
        object.Set("rnrTimer", answer.rnr_timer);
        object.Set("receivesDatagrams", (answer.hold_flags & SEALIFT_RXE_HOLD_RECEIVE_UD) != 0);
        object.Set("chooses", (answer.hold_flags & SEALIFT_RXE_HOLD_CHOOSE) != 0);
        object.Set("qps", answer.num_qp);
        object.Set("cqs", answer.num_cq);
        object.Set("mrs", answer.num_mr);
        return object;
      });
}

Napi::Value RxeHold(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  uint32_t rnr_timer = NumberArgument(info, 2, "rnrTimer", 31);
  uint32_t timeout_ms = NumberArgument(info, 3, "timeoutMs", SEALIFT_RXE_MAX_TIMEOUT_MS);
  bool receives = BooleanArgument(info, 4, "receiveDatagrams");
  bool chooses = BooleanArgument(info, 5, "choose");
  uint32_t flags = (receives ? SEALIFT_RXE_HOLD_RECEIVE_UD : 0) |
                   (chooses ? SEALIFT_RXE_HOLD_CHOOSE : 0);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"),
                     [=] { Hold(device, rnr_timer, timeout_ms, flags); });
}

Napi::Value RxeResume(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  return PromiseDone(info.Env(), PathArgument(info, 0, "netns"), [=] { Resume(device); });
}

}  // namespace

void ExportRxe(Napi::Env env, Napi::Object exports) {
  exports.Set("rxeQuery", Napi::Function::New<RxeQuery>(env));
  exports.Set("rxeHold", Napi::Function::New<RxeHold>(env));
  exports.Set("rxeResume", Napi::Function::New<RxeResume>(env));
}

}  // namespace sealift
