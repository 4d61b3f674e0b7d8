// SPDX-License-Identifier: Apache-2.0
// Everything by which an agent touches its node and other agents. A simulation has its own.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../kube/src/index.ts';
import * as addon from '../../../native/addon/index.ts';
import { Checkpointer } from './dump/checkpointer.ts';
import type { Config } from '../support/config.ts';
import { Diagnostics } from './diagnostics/diagnostics.ts';
import { NetworkLock } from './lock/network-lock.ts';
import { keepSandboxes } from './host/durable.ts';
import { Host } from './host/host.ts';
import { RdmaDriver } from './device/driver.ts';
import { Restorer } from './restore/restorer.ts';
import { BundleEditor } from './runtime/bundle-editor.ts';
import { Runc } from './runtime/runc.ts';
import { Receiver, type ReceiverOptions } from './transfer/receiver.ts';
import { sendImages } from './transfer/sender.ts';
import { ImageStore } from './transfer/store.ts';

/** Serves from `listen` on. */
export interface Server {
  listen(): Promise<unknown>;
  close(): Promise<void>;
}

export interface NodeOperations {
  readonly host: Host;
  readonly driver: RdmaDriver;
  readonly lock: NetworkLock;
  readonly store: ImageStore;
  readonly editor: BundleEditor;
  readonly checkpointer: Checkpointer;
  readonly restorer: Restorer;
  readonly send: typeof sendImages;
  receiver(on: Pick<ReceiverOptions, 'expected' | 'started' | 'received' | 'failed'>): Server;
  /** Before anything else: folders are made, and what earlier dumps have left is removed. */
  prepare(): Promise<void>;
  /** Puts what the node remembers of its sandboxes on its disk. */
  keepSandboxes(): Promise<void>;
  /** Keeps what a failure leaves; a simulation has nothing to keep. */
  readonly diagnostics?: Diagnostics;
  /** Removes what CRIU logged for a request. */
  removeWork(id: string): Promise<void>;
}

/** The real ones. */
export function nodeOperations(config: Config, version: string, log: Logger): NodeOperations {
  const host = new Host(config.host);
  const driver = new RdmaDriver();
  const lock = new NetworkLock(addon.nft);
  const store = new ImageStore(config.checkpointDir);
  const editor = new BundleEditor(host, driver);
  const { workDir: workRoot, socketPath } = config;
  const runc = new Runc(host);
  const shared = { host, lock, driver, store, workRoot, socketPath };
  return {
    host,
    driver,
    lock,
    store,
    editor,
    checkpointer: new Checkpointer({ ...shared, runc, version }),
    restorer: new Restorer({ ...shared, editor }),
    send: sendImages,
    diagnostics: new Diagnostics({
      ...{ dir: config.failureDir, nodeName: config.nodeName, workRoot },
      ...{ host, driver, log },
    }),
    receiver: (on) => {
      const receiver = new Receiver({ ...on, store, certificateDir: config.tlsDir, log });
      return { listen: () => receiver.listen(config.port), close: () => receiver.close() };
    },
    prepare: async () => {
      await mkdir(config.checkpointDir, { recursive: true, mode: 0o700 });
      await runc.removeGuards();
    },
    keepSandboxes: () => keepSandboxes(host),
    removeWork: (id) => rm(join(workRoot, id), { recursive: true, force: true }),
  };
}
