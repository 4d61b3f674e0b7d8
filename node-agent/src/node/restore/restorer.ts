// SPDX-License-Identifier: Apache-2.0
// What the agent does to a target pod: keep it locked, hidden and held, unpack its files, prepare runc's restore, let
// it answer its peers, resume it. The target's reconciler calls it; the create handler calls `outcome` and `resumePod`. Every method may be repeated and passes fault points (docs/faults.md).
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Fabric, GidEntry, Identity, Nak } from '../../../../crds/src/index.ts';
import { withFaults } from '../../../../kube/src/index.ts';
import { endTcpOrphans } from '../../../../native/addon/index.ts';
import { AgentError, type Failure } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';
import { isGone, type NetworkLock } from '../lock/network-lock.ts';
import { unpackApiVolumes } from '../files/api-volumes.ts';
import { unpackLayer, unpackPodFiles } from '../files/pod-files.ts';
import { cpuFeatures } from '../host/cpu-features.ts';
import type { Host } from '../host/host.ts';
import type { RdmaDriver } from '../device/driver.ts';
import { settledGids } from '../device/gid-tables.ts';
import { giveNaks, type GivenNaks } from '../device/kept-naks.ts';
import type { PodAddresses } from '../device/pod-addresses.ts';
import type { BundleEditor } from '../runtime/bundle-editor.ts';
import { Cgroup, findCgroup } from '../runtime/cgroup.ts';
import { failureOf, readCriuOutcome } from '../runtime/criu-outcome.ts';
import { pluginFaults } from '../runtime/plugin-faults.ts';
import { CRIU_ENVIRONMENT } from '../runtime/runc.ts';
import type { CreateRequest, RestoreReply } from '../../support/socket-protocol.ts';
import { digestFiles } from '../transfer/image-digest.ts';
import { digestOf, formatManifest, verifyFiles, type Manifest } from '../transfer/manifest.ts';
import type { ImageStore } from '../transfer/image-store.ts';
import { refuseLesserCpu } from './cpu-check.ts';
import { lendAddresses, resetLost, type ConnectionsToReset } from './lost-connections.ts';
import type { ImagesToVerify, RestoreOptions, RestoreToRead } from './restore-options.ts';
import {
  RestoredContainers,
  type RestoredContainer,
  type RestoredControl,
} from './restored-container.ts';

export type * from './restore-options.ts';

export interface RestorerParts {
  host: Host;
  lock: NetworkLock;
  driver: RdmaDriver;
  addresses: Pick<PodAddresses, 'place'>;
  store: ImageStore;
  editor: BundleEditor;
  /** Directory of CRIU's work directories, `<workRoot>/<request UID>/<container>/<id>`: the same path on the host and here. */
  workRoot: string;
  /** Path of the agent's socket, which the CRIU plugin connects to. */
  socketPath: string;
}

/**
 * Restoring: CRIU or its create has not ended. Frozen: the container is started, and no task has run. Thawed: its tasks
 * may run. Failure: they are dead.
 */
export type RestoreOutcome = 'Restoring' | 'Frozen' | 'Thawed' | Failure;

const ended: Failure = {
  code: 'RestoreFailed',
  message: 'The restored container was killed before the agent resumed it.',
};

export class Restorer {
  readonly #parts: RestorerParts;
  readonly #restored: RestoredControl;

  constructor(
    parts: RestorerParts,
    restored: RestoredControl = new RestoredContainers(parts.host),
  ) {
    this.#parts = parts;
    this.#restored = restored;
  }

  /** Path of the network namespace that a container joins, from its bundle. @throws AgentError BadBundle */
  async netns(create: Pick<CreateRequest, 'bundle'>): Promise<string> {
    const netns = await this.#parts.editor.netns(create.bundle);
    if (netns !== undefined) return netns;
    throw new AgentError(
      'BadBundle',
      'The container joins no network namespace. A pod with hostNetwork cannot be a target.',
    );
  }

  /**
   * At the create gate: gives the pod its source's addresses, each with its index in the GID table. Nothing of the pod is heard or
   * runs.
   * @returns its GID tables then; undefined if they do not settle
   * @throws AgentError AddressesDiffer, BadBundle
   */
  async placeAddresses(
    create: Pick<CreateRequest, 'bundle'>,
    fabric: Fabric,
  ): Promise<GidEntry[] | undefined> {
    const { driver, addresses } = this.#parts;
    const netns = await this.netns(create);
    await withFaults('target.addresses', () => addresses.place(netns, fabric));
    return settledGids(driver, netns);
  }

  /**
   * Compares every stored image with the manifest: a disk may have damaged it since the checkpoint. Encrypted images are
   * decrypted for CRIU on the way, into the request's own directory.
   * @param of `digest` of the manifest, `sha256:<hex>`, from the CheckpointRequest's status; `signal` ends the decryption
   * @throws AgentError ImageCorrupt, ImageTruncated, ImageVersion, ImageKeyMissing, ImageKeyWrong, CheckpointNotFound, DiskFull
   */
  async verifyImages(of: ImagesToVerify): Promise<void> {
    return withFaults('target.verify', () => this.#verify(of));
  }

  async #verify({ requestUid, imageId, digest, signal }: ImagesToVerify): Promise<void> {
    const { store } = this.#parts;
    const manifest = await this.#manifest(imageId);
    if (digest !== undefined && digestOf(formatManifest(manifest)) !== digest) {
      throw new AgentError(
        'ImageCorrupt',
        'The stored images are not those of this checkpoint: the digest of their manifest differs.',
      );
    }
    if (await store.isEncrypted(imageId)) {
      await withFaults('target.decrypt', () =>
        store.decrypt(imageId, manifest, requestUid, signal),
      );
    } else {
      verifyFiles(manifest.files, await digestFiles(store.dir(imageId)));
    }
  }

  /** Directory of the images as CRIU reads them. A crash may have left no decrypted ones. */
  async #plainDir({ imageId, requestUid, digest, signal }: RestoreOptions): Promise<string> {
    const { store } = this.#parts;
    if (imageId === requestUid || !(await store.isEncrypted(imageId))) return store.dir(imageId);
    if ((await store.manifest(requestUid)) === undefined) {
      await this.verifyImages({ requestUid, imageId, digest, signal });
    }
    return store.dir(requestUid);
  }

  /**
   * Locks, hides and holds the target, edits the container's bundle and unpacks its files.
   * @returns the reply that tells the shim how to restore the container
   * @throws AgentError CheckpointNotFound, RestoreFailed, ImageVersion, LockFailed, HoldFailed, BadBundle, DiskFull
   */
  async prepareRestore(options: RestoreOptions): Promise<RestoreReply> {
    return withFaults('target.prepare', () => this.#prepare(options));
  }

  /**
   * After Committed, while the source still answers: from now on peers find the pod on this node. Its device stays held,
   * so it answers them with RNR NAK only. It receives datagrams: every container is at its resume gate, with its memory in
   * place and registered.
   * @param lost connections that are reset first: from then on the pod would answer ARP for their addresses
   * @returns false for a pod without an RDMA device: it has no peers, and its source answers none
   * @throws AgentError LockFailed, HoldFailed
   */
  async answerPeers(netns: string, lost?: ConnectionsToReset): Promise<boolean> {
    const { lock, driver } = this.#parts;
    const interfaces = await driver.interfaces(netns);
    if (interfaces.length === 0) return false;
    await withFaults('target.answer', async () => {
      if (lost) await resetLost(this.#restored, netns, lost);
      await driver.receiveDatagrams(netns);
      await lock.lock(netns, 'roce');
    });
    await withFaults('target.show', () => driver.show(netns, interfaces));
    await withFaults('target.announce', () => driver.announce(netns, interfaces));
    return true;
  }

  /**
   * After Committed, before the tasks are thawed: unlocks the network and resumes the device. The addresses come before
   * the queue pairs. They are announced again, because the source may have sent ARP in between. A namespace that is gone,
   * with its pod or its node, needs nothing.
   * @param lost connections that are reset first, while nothing is heard of the pod
   * @returns what of the NAKs of the source's peers is not obeyed, whatever the reason: the pod is resumed all the same
   * @throws AgentError LockFailed
   */
  async resumePod(
    netns: string,
    naks: readonly Nak[] = [],
    lost?: ConnectionsToReset,
  ): Promise<GivenNaks> {
    try {
      return await this.#resumeNetwork(netns, naks, lost);
    } catch (error) {
      if (isGone(error)) return { refused: [], failures: [] };
      throw error;
    }
  }

  async #resumeNetwork(
    netns: string,
    naks: readonly Nak[],
    lost?: ConnectionsToReset,
  ): Promise<GivenNaks> {
    const { lock, driver } = this.#parts;
    const interfaces = await driver.interfaces(netns);
    await withFaults('target.unlock', async () => {
      if (lost) await resetLost(this.#restored, netns, lost);
      await lock.unlock(netns);
    });
    await withFaults('target.show', () => driver.show(netns, interfaces));
    await withFaults('target.announce', () => driver.announce(netns, interfaces));
    const given = await giveNaks(driver, netns, naks);
    await withFaults('target.resume', () => driver.resume(netns));
    return given;
  }

  /** Addresses that CRIU is lent for the images' sockets; the target resets what is connected there. @throws AgentError CheckpointNotFound */
  async lostAddresses(imageId: string): Promise<readonly string[]> {
    return (await this.#manifest(imageId)).resets ?? [];
  }

  /** What peers will know the pod by: QPNs, keys, GIDs, addresses. */
  async identity(netns: string): Promise<Identity> {
    return this.#parts.driver.identity(netns);
  }

  /**
   * The outcome of the restore that the last answer to the container's create began. containerd removes the bundle of a
   * create that it gives up.
   * @throws AgentError RuntimeFailed if the plugin's report cannot be read
   */
  async outcome(of: RestoreToRead): Promise<RestoreOutcome> {
    const { host } = this.#parts;
    const workPath = host.path(this.workPath(of));
    const outcome = await readCriuOutcome(workPath);
    if (outcome === 'Detached') {
      const state = await this.#restored.state(of);
      return state === 'Ended' ? ended : state;
    }
    const hasBundle = await exists(join(host.path(of.bundle), 'config.json'));
    if (outcome !== 'Restoring' || hasBundle) return outcome;
    return failureOf(undefined, join(workPath, 'restore.log'), 'RestoreFailed');
  }

  /** At the resume gate: freezes the tasks, which CRIU has stopped. @throws AgentError RestoreFailed, RuntimeFailed */
  async freezeRestored(of: Pick<RestoredContainer, 'id'>): Promise<void> {
    await withFaults('target.freeze', () => this.#restored.freeze(of));
  }

  /** After Committed: lets the tasks of containers run. One that has ended is passed over. */
  async thawRestored(all: readonly RestoredContainer[]): Promise<void> {
    await withFaults('target.thaw', async () => {
      for (const one of all) await this.#restored.thaw(one);
    });
  }

  /** After Aborted: kills what is past its resume gate, and nothing else. */
  async killFrozen(of: Pick<RestoredContainer, 'id'>): Promise<void> {
    await this.#restored.killFrozen(of);
  }

  /**
   * After Aborted: kills a restore that hangs. CRIU and the tasks that it has restored are in the container's cgroup and
   * die together, frozen. runc is outside, sees that CRIU has ended, and cleans up as after any failure.
   * @param id of the container
   */
  async killRestore(id: string): Promise<void> {
    const dir = await findCgroup(this.#parts.host.path('/sys/fs/cgroup'), id);
    if (dir !== undefined) await new Cgroup(dir).killFrozen();
  }

  /**
   * CRIU's work directory for a container, on the host. Each create has one of its own: sealift-runc of a create that was
   * given up may report into its own only.
   */
  workPath({ requestUid, container, id }: Omit<RestoreToRead, 'bundle'>): string {
    return join(this.#parts.workRoot, requestUid, container, id);
  }

  /** Unpacks what travelled with the pod to where its new container finds it, and makes an empty work directory. */
  protected async unpackFiles(
    dir: string,
    workPath: string,
    options: RestoreOptions,
  ): Promise<void> {
    const { host } = this.#parts;
    const { podUid, sandboxId, bundle, container } = options.create;
    const place = { podUid, sandboxId, bundle, container, signal: options.signal };
    await unpackLayer(host, dir, place);
    if (options.podFiles) await unpackPodFiles(host, dir, place);
    await unpackApiVolumes(host, podUid, dir);
    await rm(host.path(dirname(workPath)), { recursive: true, force: true });
    await mkdir(host.path(workPath), { recursive: true, mode: 0o700 });
  }

  async #manifest(imageId: string): Promise<Manifest> {
    const stored = await this.#parts.store.manifest(imageId);
    if (stored) return stored.manifest;
    throw new AgentError('CheckpointNotFound', `This node stores no images of ${imageId}.`);
  }

  async #prepare(options: RestoreOptions): Promise<RestoreReply> {
    const { editor } = this.#parts;
    const { create } = options;
    const manifest = await this.#manifest(options.imageId);
    const container = manifest.containers.find((one) => one.name === create.container);
    if (!container) {
      throw new AgentError(
        'RestoreFailed',
        `The images have no container ${create.container}. Give the new pod the same containers as the checkpointed one.`,
      );
    }
    const absent = manifest.containers.find((one) => !create.containers.includes(one.name));
    if (absent) {
      throw new AgentError(
        'RestoreFailed',
        `The images have a container ${absent.name}, but the new pod does not. Give the new pod the same containers.`,
      );
    }
    const { requestUid } = options;
    const workPath = this.workPath({ requestUid, container: create.container, id: create.id });
    // Side by side. Both have ended before a failure is thrown: the next attempt must not meet them.
    const [prepared, unpacked] = await Promise.allSettled([
      this.#prepareSandbox(options, manifest, container),
      this.#plainDir(options).then(async (images) => {
        await withFaults('target.files', () => this.unpackFiles(images, workPath, options));
        return images;
      }),
    ]);
    if (prepared.status === 'rejected') throw prepared.reason;
    if (unpacked.status === 'rejected') throw unpacked.reason;
    const dir = unpacked.value;
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
        SEALIFT_GATE: options.requestUid,
        SEALIFT_CONTAINER: create.container,
        SEALIFT_QP_STATE: options.qpState,
        ...(await editor.coverEnvironment(create.bundle)),
        ...(container.uverbs === undefined ? {} : { SEALIFT_UVERBS: container.uverbs }),
      },
    };
  }

  /** What CRIU meets: a locked, hidden and held network namespace, and a bundle with the RDMA device. */
  async #prepareSandbox(
    { create, answer, request, resets = [] }: RestoreOptions,
    manifest: Manifest,
    container: Manifest['containers'][number],
  ): Promise<void> {
    const { editor, driver, lock } = this.#parts;
    const netns = await this.netns(create);
    refuseLesserCpu(manifest, await cpuFeatures());
    await this.#checkAbi(netns, manifest);
    // The CNI handler has locked, hidden and held it already. This repeats it, whatever has happened meanwhile.
    await withFaults('target.lock', () => lock.lock(netns, 'total'));
    // Sockets of a restore that was killed here would keep the same connections from being restored again.
    await withFaults('target.stale-sockets', async () => {
      await endTcpOrphans(netns);
      await lendAddresses(netns, resets);
    });
    await withFaults('target.hide', async () => driver.hide(netns, await driver.interfaces(netns)));
    await withFaults('target.hold', () => driver.hold(netns, answer));
    await this.#restored.refuseExec(create.bundle, request);
    const node = await editor.addDevices(create.bundle, netns, container);
    if (container.uverbs !== undefined && !node) {
      throw new AgentError(
        'RestoreFailed',
        'The checkpointed pod had an RDMA device, but the new pod has none. Check its annotation k8s.v1.cni.cncf.io/networks.',
      );
    }
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
      `The images were made with driver ABI ${wanted}, this node has ${here} (label sealift.dev/driver-abi).`,
    );
  }
}
