// SPDX-License-Identifier: Apache-2.0
// Objects of a device, from the RDMA core's resource tracking (RDMA_NLDEV_CMD_RES_*_GET).
#include "rdma_resources.h"

#include <rdma/rdma_netlink.h>

#include <array>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "rdma.h"

namespace sealift {

namespace {

// One attribute that becomes one property; 64-bit ones are counts and lengths below 2^53.
struct Field {
  uint16_t attribute;
  const char* property;
  enum Kind { kU32, kU64, kType, kState } kind = kU32;
};

struct Kind {
  const char* property;
  int command;
  uint16_t table;
  uint16_t entry;
  std::vector<Field> fields;
};

const std::array<Kind, 4>& Kinds() {
  static const std::array<Kind, 4> kinds = {{
      {"qp",
       RDMA_NLDEV_CMD_RES_QP_GET,
       RDMA_NLDEV_ATTR_RES_QP,
       RDMA_NLDEV_ATTR_RES_QP_ENTRY,
       {{RDMA_NLDEV_ATTR_RES_LQPN, "lqpn"},
        {RDMA_NLDEV_ATTR_RES_RQPN, "rqpn"},
        {RDMA_NLDEV_ATTR_RES_TYPE, "type", Field::kType},
        {RDMA_NLDEV_ATTR_RES_STATE, "state", Field::kState},
        {RDMA_NLDEV_ATTR_RES_SQ_PSN, "sqPsn"},
        {RDMA_NLDEV_ATTR_RES_RQ_PSN, "rqPsn"},
        {RDMA_NLDEV_ATTR_RES_PID, "pid"}}},
      {"cq",
       RDMA_NLDEV_CMD_RES_CQ_GET,
       RDMA_NLDEV_ATTR_RES_CQ,
       RDMA_NLDEV_ATTR_RES_CQ_ENTRY,
       {{RDMA_NLDEV_ATTR_RES_CQN, "cqn"},
        {RDMA_NLDEV_ATTR_RES_CQE, "cqe"},
        {RDMA_NLDEV_ATTR_RES_USECNT, "users", Field::kU64},
        {RDMA_NLDEV_ATTR_RES_PID, "pid"}}},
      {"mr",
       RDMA_NLDEV_CMD_RES_MR_GET,
       RDMA_NLDEV_ATTR_RES_MR,
       RDMA_NLDEV_ATTR_RES_MR_ENTRY,
       {{RDMA_NLDEV_ATTR_RES_MRN, "mrn"},
        {RDMA_NLDEV_ATTR_RES_RKEY, "rkey"},
        {RDMA_NLDEV_ATTR_RES_LKEY, "lkey"},
        {RDMA_NLDEV_ATTR_RES_MRLEN, "mrlen", Field::kU64},
        {RDMA_NLDEV_ATTR_RES_PID, "pid"}}},
      {"pd",
       RDMA_NLDEV_CMD_RES_PD_GET,
       RDMA_NLDEV_ATTR_RES_PD,
       RDMA_NLDEV_ATTR_RES_PD_ENTRY,
       {{RDMA_NLDEV_ATTR_RES_PDN, "pdn"},
        {RDMA_NLDEV_ATTR_RES_USECNT, "users", Field::kU64},
        {RDMA_NLDEV_ATTR_RES_PID, "pid"}}},
  }};
  return kinds;
}

struct Property {
  const char* name;
  double number = 0;
  const char* text = nullptr;
};
using Entry = std::vector<Property>;
using Resources = std::array<std::vector<Entry>, 4>;

// enum ib_qp_state of the RDMA core, which no user header has.
const char* QpState(uint8_t state) {
  static constexpr const char* kNames[] = {"RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR"};
  return state < std::size(kNames) ? kNames[state] : "UNKNOWN";
}

std::optional<Property> Read(const Attributes& of, const Field& field) {
  if (field.kind == Field::kU64) {
    auto value = of.U64(field.attribute);
    if (value) return Property{field.property, static_cast<double>(*value)};
  } else if (field.kind == Field::kU32) {
    auto value = of.U32(field.attribute);
    if (value) return Property{field.property, static_cast<double>(*value)};
  } else {
    auto value = of.U8(field.attribute);
    if (value)
      return Property{field.property, 0,
                      field.kind == Field::kType ? QpTypeName(*value) : QpState(*value)};
  }
  return std::nullopt;
}

std::vector<Entry> ReadKind(Netlink& nldev, uint32_t index, const Kind& kind) {
  std::vector<Entry> entries;
  Request request = NldevRequest(kind.command, NLM_F_DUMP);
  request.Put(RDMA_NLDEV_ATTR_DEV_INDEX, index);
  for (const auto& message : nldev.Ask(request, std::string("list ") + kind.property)) {
    Attributes outer(Netlink::Header(message), 0);
    const nlattr* table = outer.Get(kind.table);
    if (!table) continue;
    for (const nlattr* nested : Nested(table)) {
      if (mnl_attr_get_type(nested) != kind.entry) continue;
      Attributes of(nested);
      Entry entry;
      for (const auto& field : kind.fields)
        if (auto property = Read(of, field)) entry.push_back(*property);
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

Resources ReadResources(const std::string& device) {
  Netlink nldev(NETLINK_RDMA);
  uint32_t index = RequireRdmaDevice(nldev, device).index;
  Resources resources;
  for (size_t at = 0; at < resources.size(); at++)
    resources[at] = ReadKind(nldev, index, Kinds()[at]);
  return resources;
}

Napi::Value ToObject(Napi::Env env, const Resources& resources) {
  Napi::Object result = Napi::Object::New(env);
  for (size_t kind = 0; kind < resources.size(); kind++) {
    result.Set(Kinds()[kind].property,
               ToArray(env, resources[kind], [](Napi::Env in, const Entry& from) {
                 Napi::Object object = Napi::Object::New(in);
                 for (const auto& property : from) {
                   if (property.text)
                     object.Set(property.name, property.text);
                   else
                     object.Set(property.name, property.number);
                 }
                 return object;
               }));
  }
  return result;
}

Napi::Value RdmaResources(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  return Promise<Resources>(
      info.Env(), PathArgument(info, 0, "netns"), [device] { return ReadResources(device); },
      ToObject);
}

}  // namespace

void ExportRdmaResources(Napi::Env env, Napi::Object exports) {
  exports.Set("rdmaResources", Napi::Function::New<RdmaResources>(env));
}

}  // namespace sealift
