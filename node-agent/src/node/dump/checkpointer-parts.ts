// SPDX-License-Identifier: Apache-2.0
// What a checkpointer works with.
import type { endTcpAt } from '../../../../native/addon/index.ts';
import type { Host } from '../host/host.ts';
import type { RdmaDriver } from '../device/driver.ts';
import type { PodAddresses } from '../device/pod-addresses.ts';
import type { NetworkLock } from '../lock/network-lock.ts';
import type { Runc } from '../runtime/runc.ts';
import type { ImageStore } from '../transfer/image-store.ts';
import type { AheadDumps } from './ahead-dumps.ts';
import type { ClusterSockets } from './cluster-sockets.ts';
import type { ContainerLinks } from './container-links.ts';
import type { DeviceObjects } from './device-objects.ts';
import type { ExecSessions } from './exec-sessions.ts';
import type { UnmovableFiles } from './unmovable.ts';

export interface CheckpointerParts {
  host: Host;
  runc: Runc;
  lock: NetworkLock;
  driver: RdmaDriver;
  addresses: Pick<PodAddresses, 'read'>;
  store: ImageStore;
  /** Directory of CRIU's work directories, `<workRoot>/<request UID>/<container>`: the same path on the host and here. */
  workRoot: string;
  /** Absent: each dump starts its programs itself. */
  ahead?: Pick<AheadDumps, 'start' | 'has' | 'take' | 'giveUp'> | undefined;
  exec: Pick<ExecSessions, 'check' | 'refuse' | 'allow' | 'allowOrphans'>;
  unmovable: Pick<UnmovableFiles, 'check'>;
  links: Pick<ContainerLinks, 'check'>;
  clusterSockets: Pick<ClusterSockets, 'check' | 'lost' | 'lostOfFrozen'>;
  deviceObjects: Pick<DeviceObjects, 'check' | 'checkAddresses' | 'firstPeerToGiveUp'>;
  /** Path of the agent's socket, which the CRIU plugin connects to. */
  socketPath: string;
  /** Ends TCP connections of a namespace; another one in tests. */
  endTcp?: typeof endTcpAt;
  /** Sealift's version, for the manifest. */
  version: string;
}
