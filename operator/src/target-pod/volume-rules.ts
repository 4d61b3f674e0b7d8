// SPDX-License-Identifier: Apache-2.0
// Which volumes a pod may have that is to be moved: docs/volumes.md. Pure.
import { posix } from 'node:path';
import type { Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../refusal.ts';

/** A PersistentVolumeClaim with the volume that it is bound to. */
export interface Claim {
  readonly accessModes: readonly string[];
  /** It goes once no pod uses it, and no new one may. */
  readonly isDeleted?: boolean;
  /** Filesystem or Block. */
  readonly volumeMode: string;
  /** Undefined: the claim is not bound. */
  readonly volume?: {
    readonly name: string;
    /** `nfs`, `csi`, `local`, ... */
    readonly kind: string;
    /** Of a hostPath volume. */
    readonly path?: string;
  };
}

/** What is known besides the pod. */
export interface VolumeFacts {
  /** Claims of the pod's namespace that the pod names; one that does not exist is not among them. */
  readonly claims: ReadonlyMap<string, Claim>;
  /** Paths of nodes below which every node has the same files. */
  readonly sharedHostPaths: readonly string[];
}

export const noVolumeFacts: VolumeFacts = { claims: new Map(), sharedHostPaths: [] };

type Volume = Pod['spec']['volumes'][number];
type Source = Readonly<Record<string, unknown>>;

/** Volumes whose content is part of the images, or is published again from the same API objects. */
const movableKinds = ['emptyDir', 'configMap', 'secret', 'projected', 'downwardAPI'];
/** Volumes that every node mounts from the same place. */
const sharedKinds = ['nfs'];

/** Everything that keeps the pod's volumes from moving with it. */
export function* volumeRefusals({ metadata, spec }: Pod, facts: VolumeFacts): Generator<Refusal> {
  for (const volume of spec.volumes) {
    const message = problemOf(volume, metadata.name, facts);
    if (message !== undefined) {
      yield { reason: 'UnsupportedVolume', message: `Volume ${volume.name} ${message}` };
    }
  }
}

/** For a checkpoint: what is shared between nodes is in no image, and goes on changing. */
export function* sharedVolumeRefusals({ spec }: Pod): Generator<Refusal> {
  for (const volume of spec.volumes) {
    const kind = kindOf(volume);
    const isShared = [...sharedKinds, 'persistentVolumeClaim', 'hostPath'].includes(kind);
    if (!isShared || sourceOf(volume, kind)['readOnly'] === true) continue;
    yield {
      reason: 'UnsupportedVolume',
      message: `Volume ${volume.name} of kind ${kind} is not part of a checkpoint, and may have other content when the checkpoint is restored. Create the pod with the volume readOnly, or without it.`,
    };
  }
}

const kindOf = (volume: Volume): string =>
  Object.keys(volume).find((key) => key !== 'name') ?? 'emptyDir';

const sourceOf = (volume: Volume, kind: string): Source =>
  (volume[kind] as Source | null | undefined) ?? {};

/** What is wrong with a volume, and what to do; follows the volume's name. */
function problemOf(volume: Volume, podName: string, facts: VolumeFacts): string | undefined {
  const kind = kindOf(volume);
  const source = sourceOf(volume, kind);
  if (kind === 'emptyDir') return emptyDirProblem(source);
  if (movableKinds.includes(kind) || sharedKinds.includes(kind)) return undefined;
  if (kind === 'persistentVolumeClaim') return claimProblem(source, facts);
  if (kind === 'hostPath') {
    const { path, type } = source as { path?: string; type?: string };
    return hostPathProblem('is', path ?? '', facts) ?? deviceProblem(type);
  }
  if (kind === 'ephemeral') {
    // The name that the controller of such claims gives them.
    const modes = ephemeralModes(source);
    const claim = `${podName}-${volume.name}${modes.length > 0 ? ` (${modes.join(', ')})` : ''}`;
    return `is of kind ephemeral: its claim ${claim} belongs to this pod alone. Create the pod with a claim of its own, of access mode ReadWriteMany.`;
  }
  const driver = typeof source['driver'] === 'string' ? ` (driver ${source['driver']})` : '';
  return `is of kind ${kind}${driver}, which does not move. Create the pod with volumes of the kinds that docs/volumes.md lists.`;
}

function ephemeralModes({ volumeClaimTemplate }: Source): readonly string[] {
  const template = volumeClaimTemplate as { spec?: { accessModes?: string[] } } | null | undefined;
  return template?.spec?.accessModes ?? [];
}

function emptyDirProblem({ medium }: Source): string | undefined {
  if (typeof medium !== 'string' || !medium.startsWith('HugePages')) return undefined;
  return `is an emptyDir with medium ${medium}, whose files no archive can bring to another node. Create the pod without the volume, and let its program take huge pages without a file (MAP_HUGETLB, MFD_HUGETLB; DPDK, SPDK: --in-memory).`;
}

function claimProblem(source: Source, facts: VolumeFacts): string | undefined {
  const name = typeof source['claimName'] === 'string' ? source['claimName'] : '';
  const claim = facts.claims.get(name);
  if (!claim?.volume) {
    return `names claim ${name}, which is not there or not bound. Create a new request when it is.`;
  }
  const { accessModes, volumeMode, volume } = claim;
  if (claim.isDeleted === true) {
    return `is claim ${name}, which is being deleted: no other pod can use it. Create the pod with another claim.`;
  }
  if (volumeMode === 'Block') {
    return `is claim ${name}, a raw block device, which does not move. Use a claim with volumeMode Filesystem.`;
  }
  const isReadOnly =
    source['readOnly'] === true || accessModes.every((one) => one === 'ReadOnlyMany');
  const isShared =
    accessModes.includes('ReadWriteMany') || (isReadOnly && accessModes.includes('ReadOnlyMany'));
  const has = `is claim ${name}, whose PersistentVolume ${volume.name} is`;
  const modes = accessModes.join(', ');
  // No other node has what is in it, whatever the claim states.
  if (volume.kind === 'local') {
    return `${has} a directory of one node (local, ${modes}). Use a claim of a file system that several nodes mount.`;
  }
  const path =
    volume.kind === 'hostPath' ? hostPathProblem(has, volume.path ?? '', facts, modes) : undefined;
  return path ?? (isShared ? undefined : exclusiveProblem(name, volume.name, accessModes));
}

/** A claim that one node, or one pod, at a time may mount: source and target would both have it during a move. */
function exclusiveProblem(name: string, volume: string, accessModes: readonly string[]): string {
  const isOfOnePod = accessModes.includes('ReadWriteOncePod');
  const what = isOfOnePod ? 'pod at a time may use' : 'node at a time may mount';
  return `is claim ${name} of PersistentVolume ${volume}, which only one ${what} (${accessModes.join(', ')}). Such claims do not move yet. Use a claim of access mode ReadWriteMany, or delete the pod so that it starts on the other node.`;
}

function hostPathProblem(
  has: string,
  path: string,
  facts: VolumeFacts,
  modes?: string,
): string | undefined {
  if (facts.sharedHostPaths.some((shared) => isBelow(path, shared))) return undefined;
  const of = modes === undefined ? '' : ` (${modes})`;
  return `${has} the node's path ${path}${of}, and the target's node has other files there. Create the pod without it; if all nodes mount the same file system there, add the path to the chart's operator.sharedHostPaths.`;
}

/** Of a hostPath on a shared file system: what is no file is a node's own all the same. */
function deviceProblem(type: string | undefined): string | undefined {
  if (type === undefined || !['Socket', 'CharDevice', 'BlockDevice'].includes(type)) {
    return undefined;
  }
  return `is a hostPath of type ${type}, which belongs to its node. Create the pod without it.`;
}

function isBelow(path: string, shared: string): boolean {
  const [inner, outer] = [path, shared].map((one) => posix.normalize(`${one}/`));
  return inner !== undefined && outer !== undefined && inner.startsWith(outer);
}
