// SPDX-License-Identifier: Apache-2.0
#include <napi.h>

#include "announce.h"
#include "gids.h"
#include "host.h"
#include "interface.h"
#include "macvlan.h"
#include "nft.h"
#include "rdma_link.h"
#include "rdma_resources.h"
#include "route.h"
#include "rxe.h"
#include "rxe_event_files.h"
#include "rxe_naks.h"
#include "rxe_objects.h"
#include "sockets.h"
#include "sysvipc.h"
#include "tcp_closed.h"
#include "tcp_orphans.h"
#include "tcp_repair.h"
#include "tcp_resets.h"
#include "unix_sockets.h"
#include "unshared.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  sealift::ExportRdmaLink(env, exports);
  sealift::ExportRdmaResources(env, exports);
  sealift::ExportGids(env, exports);
  sealift::ExportRxe(env, exports);
  sealift::ExportRxeObjects(env, exports);
  sealift::ExportRxeEventFiles(env, exports);
  sealift::ExportRxeNaks(env, exports);
  sealift::ExportNft(env, exports);
  sealift::ExportInterface(env, exports);
  sealift::ExportMacvlan(env, exports);
  sealift::ExportAddresses(env, exports);
  sealift::ExportAddressChange(env, exports);
  sealift::ExportKeptRoutes(env, exports);
  sealift::ExportRoute(env, exports);
  sealift::ExportNeighbour(env, exports);
  sealift::ExportAnnounce(env, exports);
  sealift::ExportHost(env, exports);
  sealift::ExportSockets(env, exports);
  sealift::ExportSysvipc(env, exports);
  sealift::ExportTcpClosed(env, exports);
  sealift::ExportTcpOrphans(env, exports);
  sealift::ExportTcpRepair(env, exports);
  sealift::ExportTcpResets(env, exports);
  sealift::ExportUnixSockets(env, exports);
  sealift::ExportUnshared(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(sealift, Init)
