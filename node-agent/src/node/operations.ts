// SPDX-License-Identifier: Apache-2.0
// Everything by which an agent touches its node and other agents, in one object. main.ts makes the real one and hands
// it to the agent; the simulation makes one over a simulated node.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeMemory } from '../../../crds/src/index.ts';
import type { Logger } from '../../../kube/src/index.ts';
import * as addon from '../../../native/addon/index.ts';
import { AheadDumps } from './dump/ahead-dumps.ts';
import { Checkpointer } from './dump/checkpointer.ts';
import { DeviceObjects } from './dump/device-objects.ts';
import { ExecSessions } from './dump/exec-sessions.ts';
import { PodInspector } from './dump/pod-inspector.ts';
import { ContainerLinks } from './dump/container-links.ts';
import { ClusterSockets } from './dump/cluster-sockets.ts';
import { UnmovableFiles } from './dump/unmovable.ts';
import type { Config } from '../support/config.ts';
import { Diagnostics } from './diagnostics/diagnostics.ts';
import { ImageKeys } from './encryption/image-keys.ts';
import { PodIp } from './pod-ip/pod-ip.ts';
import { NetworkLock } from './lock/network-lock.ts';
import { syncCniState } from './host/fsync.ts';
import { Host } from './host/host.ts';
import { nodeMemory } from './host/node-memory.ts';
import { RdmaDriver } from './device/driver.ts';
import { PodAddresses } from './device/pod-addresses.ts';
import { Restorer } from './restore/restorer.ts';
import { StartWatches } from './restore/start-watches.ts';
import { BundleEditor } from './runtime/bundle-editor.ts';
import { arrivedMemory } from './runtime/lasting-memory.ts';
import { Runc } from './runtime/runc.ts';
import { FabricAddresses } from './fabric-addresses/fabric-addresses.ts';
import { ProbeAnswers } from './probes/probe-answers.ts';
import { Receiver, type ReceiverOptions } from './transfer/receiver.ts';
import { readCertificates } from './transfer/tls.ts';
import { sendImages } from './transfer/sender.ts';
import { ImageStore } from './transfer/image-store.ts';
import { WarmConnections } from './transfer/warm-connections.ts';

/** Serves after `listen` has resolved, until `close`. */
export interface Server {
  listen(): Promise<unknown>;
  close(): Promise<void>;
}

/** What the agent can do to its node. */
export interface NodeOperations {
  readonly host: Host;
  readonly driver: RdmaDriver;
  readonly lock: NetworkLock;
  readonly store: ImageStore;
  readonly editor: BundleEditor;
  readonly checkpointer: Checkpointer;
  /** Looks at pods for dry runs. Undefined in the simulation, whose users ask for none. */
  readonly inspector?: PodInspector;
  readonly restorer: Restorer;
  /** Tells when restored containers are started. Undefined in the simulation, whose bundles are no directories. */
  readonly starts?: StartWatches;
  readonly send: typeof sendImages;
  /** Connections to other agents, opened before they are needed. Undefined in the simulation. */
  readonly connections?: WarmConnections;
  /** The HTTPS server for images from other agents. */
  receiver(on: Pick<ReceiverOptions, 'expected' | 'started' | 'received' | 'failed'>): Server;
  /** Called once, before anything else: makes directories and removes the cgroups that earlier dumps have left. */
  prepare(): Promise<void>;
  /** Syncs CNI's records of the node's sandboxes to the disk. */
  syncCniState(): Promise<void>;
  /** Answers the network probes of locked pods. Undefined in the simulation, whose pods have none. */
  readonly probes?: ProbeAnswers;
  /** Lets moved pods keep their addresses in the cluster's network. Undefined in the simulation, whose pods have none. */
  readonly podIp?: PodIp;
  /** Reserves addresses of pods that have moved away. Undefined in the simulation, whose nodes have no IPAM. */
  readonly fabricAddresses?: FabricAddresses;
  /** Keeps logs and records of a failed move. Undefined in the simulation. */
  readonly diagnostics?: Diagnostics;
  /** What the node has for pods that move here. Undefined in the simulation, whose nodes have enough. */
  readonly memory?: () => Promise<NodeMemory | undefined>;
  /** Bytes in RAM that a pod has already which is on its way here, by its UID. Undefined in the simulation. */
  readonly arrivedMemory?: (podUid: string) => Promise<number>;
  /** Removes CRIU's work directories of a request. @param id the request's UID or the images' */
  removeWork(id: string): Promise<void>;
}

/**
 * The real operations.
 * @param version of Sealift, for manifests
 */
export function nodeOperations(config: Config, version: string, log: Logger): NodeOperations {
  const host = new Host(config.host);
  const driver = new RdmaDriver();
  const lock = new NetworkLock(addon.nft);
  const keys = new ImageKeys(config.imageKeyDir);
  const store = new ImageStore(config.checkpointDir, { isOn: config.encryptImages, keys });
  const editor = new BundleEditor(host, driver);
  const { workDir: workRoot, socketPath } = config;
  const runc = new Runc(host);
  const connections = new WarmConnections();
  const addresses = new PodAddresses(driver);
  const shared = { host, lock, driver, addresses, store, workRoot, socketPath };
  const checks = {
    exec: new ExecSessions(host),
    unmovable: new UnmovableFiles(host),
    links: new ContainerLinks(host),
    clusterSockets: new ClusterSockets(host),
    deviceObjects: new DeviceObjects({ host, driver }),
  };
  return {
    host,
    driver,
    lock,
    store,
    editor,
    checkpointer: new Checkpointer({
      ...{ ...shared, ...checks, runc, version },
      ahead: new AheadDumps({ ...{ host, runc, store, workRoot, socketPath, log } }),
    }),
    inspector: new PodInspector({ ...checks, host, driver, addresses }),
    restorer: new Restorer({ ...shared, editor }),
    starts: new StartWatches(host),
    send: async (of) => sendImages({ ...of, connection: await connections.take(of) }),
    connections,
    diagnostics: new Diagnostics({
      ...{ dir: config.failureDir, nodeName: config.nodeName, workRoot },
      ...{ host, driver, log },
    }),
    probes: new ProbeAnswers({
      nft: addon.nft,
      interfaceInfo: addon.interfaceInfo,
      certificate: () => readCertificates(config.tlsDir),
      log,
    }),
    podIp: new PodIp({ host }),
    fabricAddresses: new FabricAddresses(host),
    receiver: (on) => {
      const receiver = new Receiver({ ...on, store, certificateDir: config.tlsDir, log });
      return {
        listen: () => receiver.listen(config.port, config.listenAddress),
        close: () => receiver.close(),
      };
    },
    prepare: async () => {
      await mkdir(config.checkpointDir, { recursive: true, mode: 0o700 });
      await runc.removeGuards();
    },
    syncCniState: () => syncCniState(host),
    memory: () =>
      nodeMemory({ root: '/', cgroups: host.path('/sys/fs/cgroup'), images: config.checkpointDir }),
    arrivedMemory: (podUid) => arrivedMemory(host, podUid),
    removeWork: (id) => rm(join(workRoot, id), { recursive: true, force: true }),
  };
}
