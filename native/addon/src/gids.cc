// SPDX-License-Identifier: Apache-2.0
// The GID table of port 1 (UVERBS_METHOD_QUERY_GID_TABLE).
#include "gids.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <rdma/ib_user_ioctl_verbs.h>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "uverbs.h"

namespace sealift {

namespace {

// What fits an attribute's 16-bit length with room to spare; rxe's table has 1024.
constexpr size_t kMostGids = 1024;

struct GidEntry {
  uint32_t index;
  std::string gid;
  std::string netdev;
  const char* type;
};

const char* TypeName(uint32_t type) {
  switch (type) {
    case IB_UVERBS_GID_TYPE_ROCE_V1:
      return "IB/RoCE v1";
    case IB_UVERBS_GID_TYPE_ROCE_V2:
      return "RoCE v2";
    default:
      return "IB";
  }
}

std::vector<GidEntry> ReadGids(const std::string& device) {
  UverbsContext context(device);
  std::vector<ib_uverbs_gid_entry> table(kMostGids);
  uint64_t count = 0;
  int error = UverbsCall(UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_TABLE)
                  .Value(UVERBS_ATTR_QUERY_GID_TABLE_ENTRY_SIZE, sizeof(table[0]), sizeof(uint64_t))
                  .Out(UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES, table.data(),
                       static_cast<uint16_t>(table.size() * sizeof(table[0])))
                  .Out(UVERBS_ATTR_QUERY_GID_TABLE_RESP_NUM_ENTRIES, &count, sizeof(count))
                  .Run(context.fd());
  if (error) throw Failure::FromErrno(error, "read GID table of " + device);

  std::vector<GidEntry> gids;
  for (size_t at = 0; at < count && at < table.size(); at++) {
    if (table[at].port_num != 1) continue;
    char text[INET6_ADDRSTRLEN];
    char netdev[IF_NAMESIZE] = "";
    inet_ntop(AF_INET6, table[at].gid, text, sizeof(text));
    if (table[at].netdev_ifindex) if_indextoname(table[at].netdev_ifindex, netdev);
    gids.push_back({table[at].gid_index, text, netdev, TypeName(table[at].gid_type)});
  }
  return gids;
}

Napi::Value Gids(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  return Promise<std::vector<GidEntry>>(
      info.Env(), PathArgument(info, 0, "netns"), [device] { return ReadGids(device); },
      [](Napi::Env env, const std::vector<GidEntry>& gids) {
        return ToArray(env, gids, [](Napi::Env in, const GidEntry& from) {
          Napi::Object gid = Napi::Object::New(in);
          gid.Set("index", from.index);
          gid.Set("gid", from.gid);
          if (!from.netdev.empty()) gid.Set("netdev", from.netdev);
          gid.Set("type", from.type);
          return gid;
        });
      });
}

}  // namespace

void ExportGids(Napi::Env env, Napi::Object exports) {
  exports.Set("gids", Napi::Function::New<Gids>(env));
}

}  // namespace sealift
