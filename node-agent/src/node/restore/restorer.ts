// SPDX-License-Identifier: Apache-2.0
// The effects on a pod that is about to run on this node: lock from birth, files, restore, release. Shared by
// migration and restore. Each is idempotent; steps are named as in spec/handover.pml.
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity } from '../../../../crds/src/index.ts';
import { withFaults } from '../../../../kube/src/index.ts';
import { endTcpOrphans } from '../../../../native/addon/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { NetworkLock } from '../lock/network-lock.ts';
import { unpackLayer, unpackPodFiles } from '../files/pod-files.ts';
import type { Host } from '../host/host.ts';
import type { RdmaDriver } from '../device/driver.ts';
import type { BundleEditor } from '../runtime/bundle-editor.ts';
import { Cgroup, findCgroup } from '../runtime/cgroup.ts';
import { readLogReason, readTail } from '../runtime/criu-log.ts';
import { pluginFaults } from '../runtime/plugin-faults.ts';
import { CRIU_ENVIRONMENT } from '../runtime/runc.ts';
import type { CreateRequest, RestoreReply } from '../../support/socket-protocol.ts';
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import { digestFiles } from '../transfer/pack.ts';
import { digestOf, formatManifest, verifyFiles, type Manifest } from '../transfer/manifest.ts';
import type { ImageStore } from '../transfer/store.ts';

export interface RestorerParts {
  host: Host;
  lock: NetworkLock;
  driver: RdmaDriver;
  store: ImageStore;
  editor: BundleEditor;
  workRoot: string;
  socketPath: string;
}

export interface RestoreOptions {
  /** UID of the request; the token at the resume gate. */
  requestUid: string;
  /** Folder of the images. */
  imageId: string;
  create: Omit<CreateAtGate, 'rnrTimer' | 'since' | 'attempt'>;
  /** Peers that have gone on without this copy must see an error rather than silence. */
  qpState: 'keep' | 'error';
  /** What the pod's annotation asks for. */
  rnrTimer: number;
  /** Put what the pod's containers share in place too: before the first of them is restored. */
  podFiles: boolean;
}

export class Restorer {
  readonly #parts: RestorerParts;

  constructor(parts: RestorerParts) {
    this.#parts = parts;
  }

  /** The namespace that a container in the making will join. */
  async netns(create: Pick<CreateRequest, 'bundle'>): Promise<string> {
    const netns = await this.#parts.editor.netns(create.bundle);
    if (netns !== undefined) return netns;
    throw new AgentError('BadBundle', 'the container joins no network namespace');
  }

  /**
   * Images that have lain on a disk: whether they still are what they were.
   * @param digest of the checkpoint's manifest, as its request's status has it
   * @throws AgentError ImageCorrupt, ImageTruncated, ImageVersion, CheckpointNotFound
   */
  async verify(imageId: string, digest: string | undefined): Promise<void> {
    return withFaults('target.verify', () => this.#verify(imageId, digest));
  }

  async #verify(imageId: string, digest: string | undefined): Promise<void> {
    const manifest = await this.#manifest(imageId);
    if (digest !== undefined && digestOf(formatManifest(manifest)) !== digest) {
      throw new AgentError(
        'ImageCorrupt',
        'the images are not those of this checkpoint (its manifest has another digest): checkpoint again',
      );
    }
    verifyFiles(manifest.files, await digestFiles(this.#parts.store.dir(imageId)));
  }

  /** Puts the pod's files in place and says how to restore the container. */
  async prepare(order: RestoreOptions): Promise<RestoreReply> {
    return withFaults('target.prepare', () => this.#prepare(order));
  }

  /**
   * After Committed, while the source still answers: peers find the pod here from now on. The device stays held, so all
   * that they are told is RNR NAK.
   */
  async answer(netns: string): Promise<void> {
    const { lock, driver } = this.#parts;
    const interfaces = await driver.interfaces(netns);
    await withFaults('target.answer', () => lock.lock(netns, 'source'));
    await withFaults('target.show', () => driver.show(netns, interfaces));
    await withFaults('target.announce', () => driver.announce(netns, interfaces));
  }

  /**
   * After Committed, once CRIU has let go of the tasks: the pod may speak. The address first, then the queue pairs.
   * Announced again: the source may have spoken in between.
   */
  async release(netns: string): Promise<void> {
    const { lock, driver } = this.#parts;
    const interfaces = await driver.interfaces(netns);
    await withFaults('target.unlock', () => lock.unlock(netns));
    await withFaults('target.show', () => driver.show(netns, interfaces));
    await withFaults('target.announce', () => driver.announce(netns, interfaces));
    await withFaults('target.resume', () => driver.resume(netns));
  }

  async identity(netns: string): Promise<Identity> {
    return this.#parts.driver.identity(netns);
  }

  /**
   * Why a restore that was begun will never reach its gate; undefined while it still may.
   * runc's own failure leaves no message for the agent, but CRIU's log and the vanished bundle do.
   */
  async failureOf(order: {
    requestUid: string;
    container: string;
    bundle: string;
  }): Promise<{ code: string; message: string } | undefined> {
    const log = join(this.workPath(order.requestUid, order.container), 'restore.log');
    const file = this.#parts.host.path(log);
    if (/Restoring FAILED/.test(await readTail(file))) return readLogReason(file, 'RestoreFailed');
    try {
      await stat(this.#parts.host.path(join(order.bundle, 'config.json')));
      return undefined;
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
      return readLogReason(file, 'RestoreFailed');
    }
  }

  /** Whether CRIU has let go of the restored tasks: they may have run. */
  async released(requestUid: string, container: string): Promise<boolean> {
    const log = join(this.workPath(requestUid, container), 'restore.log');
    return /Restore finished successfully/.test(await readTail(this.#parts.host.path(log)));
  }

  /**
   * After Aborted: ends a restore that hangs. CRIU is in the container's cgroup, and so is what it has rebuilt: they die
   * together and frozen. runc is not, finds CRIU gone, and cleans up as after any failure.
   * @param id of the container
   */
  async cut(id: string): Promise<void> {
    const dir = await findCgroup(this.#parts.host.path('/sys/fs/cgroup'), id);
    if (dir !== undefined) await new Cgroup(dir).killFrozen();
  }

  workPath(requestUid: string, container: string): string {
    return join(this.#parts.workRoot, requestUid, container);
  }

  /** What travelled with the pod, put where its new container finds it; and an empty folder for CRIU's log. */
  protected async putFiles(dir: string, workPath: string, order: RestoreOptions): Promise<void> {
    const { host } = this.#parts;
    const { podUid, sandboxId, bundle, container } = order.create;
    const place = { podUid, sandboxId, bundle, container };
    await unpackLayer(host, dir, place);
    if (order.podFiles) await unpackPodFiles(host, dir, place);
    await rm(host.path(workPath), { recursive: true, force: true });
    await mkdir(host.path(workPath), { recursive: true, mode: 0o700 });
  }

  async #manifest(imageId: string): Promise<Manifest> {
    const kept = await this.#parts.store.manifest(imageId);
    if (kept) return kept.manifest;
    throw new AgentError('CheckpointNotFound', `no images of ${imageId} on this node`);
  }

  async #prepare(order: RestoreOptions): Promise<RestoreReply> {
    const { store, editor, driver } = this.#parts;
    const { create } = order;
    const manifest = await this.#manifest(order.imageId);
    const container = manifest.containers.find((one) => one.name === create.container);
    if (!container) {
      throw new AgentError(
        'RestoreFailed',
        `the images hold no container ${create.container}: the new pod's spec must be the old pod's`,
      );
    }
    const absent = manifest.containers.find((one) => !create.containers.includes(one.name));
    if (absent) {
      throw new AgentError(
        'RestoreFailed',
        `the new pod has no container ${absent.name}, of which there are images: its spec must be the old pod's`,
      );
    }
    const netns = await this.netns(create);
    await this.#checkAbi(netns, manifest);
    // From birth, and once more: whatever happened to the namespace, it is locked, hidden and held now.
    await withFaults('target.lock', () => this.#parts.lock.lock(netns, 'total'));
    // What a restore that was killed here leaves would keep its connections from being restored again.
    await withFaults('target.stale-sockets', () => endTcpOrphans(netns));
    await withFaults('target.hide', async () => driver.hide(netns, await driver.interfaces(netns)));
    await withFaults('target.hold', () => driver.hold(netns, order.rnrTimer));
    const node = await editor.edit(create.bundle, netns, container.uverbs);
    if (container.uverbs !== undefined && !node) {
      throw new AgentError(
        'RestoreFailed',
        'the pod had an RDMA device, but the new pod has none: check its networks annotation',
      );
    }
    const dir = store.dir(order.imageId);
    const workPath = this.workPath(order.requestUid, create.container);
    await withFaults('target.files', () => this.putFiles(dir, workPath, order));
    return {
      ok: true,
      action: 'restore',
      imagePath: join(dir, create.container),
      workPath,
      options: ['--tcp-established', '--file-locks'],
      env: {
        ...CRIU_ENVIRONMENT,
        ...(await pluginFaults('restore')),
        SEALIFT_SOCKET: this.#parts.socketPath,
        SEALIFT_GATE: order.requestUid,
        SEALIFT_CONTAINER: create.container,
        SEALIFT_QP_STATE: order.qpState,
        ...(container.uverbs === undefined ? {} : { SEALIFT_UVERBS: container.uverbs }),
      },
      // The kubelet starts the next container when this one's create has returned.
      ...(create.containers.at(-1) === create.container ? {} : { background: true }),
    };
  }

  async #checkAbi(netns: string, manifest: Manifest): Promise<void> {
    const wanted = manifest.versions.driverAbi;
    if (wanted === undefined || manifest.objects.qp + manifest.objects.mr === 0) return;
    const [device] = await this.#parts.driver.devices(netns);
    if (!device) return;
    const here = await this.#parts.driver.abi(netns, device.name);
    if (here === wanted) return;
    throw new AgentError(
      'ImageVersion',
      `the images were made with driver ABI ${wanted}, this node has ${here}: ` +
        'choose a node whose label sealift.dev/driver-abi is the same',
    );
  }
}
