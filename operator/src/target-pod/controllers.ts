// SPDX-License-Identifier: Apache-2.0
// How a moved pod stays with its controller: which controllers Sealift knows, and which of two pods a ReplicaSet
// deletes when it has one too many. Pure. docs/adr/0019 has the reasons.
//   AfterResume  the controller counts pods and deletes the one that is worth least. The target gets the reference to
//                it once it is worth more than the source; then the source is deleted.
//   BeforeHold   the controller takes a pod that ends for a failure. The target gets the reference before the source
//                is held, and the source loses its own; an abort gives it back.
//   ByName       the controller finds the pod by its name. The target is a landing pod, from which a second move goes to
//                a pod of that name (docs/adr/0025).
import { annotations, labels, type PodController } from '../../../crds/src/index.ts';
import type { OwnerReference, Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../refusal.ts';
import { controllerOf } from './ownership.ts';

type Handover = PodController['handover'];

/** By group and kind. */
const known: Readonly<Record<string, Handover | undefined>> = {
  'apps/ReplicaSet': 'AfterResume',
  'batch/Job': 'BeforeHold',
  'apps/StatefulSet': 'ByName',
};

/** Controllers that no rule of the user's can change, and why. */
const refused: Readonly<Record<string, string | undefined>> = {
  'apps/DaemonSet':
    'which runs one pod on each node: the other node has its own. Sealift does not migrate such pods.',
  '/Node':
    'because it is a mirror pod: the kubelet of that node runs it from a file. Sealift does not migrate such pods.',
};

/** Its controllers keep the name, so the API version's group tells more than its version. */
const groupKind = ({ apiVersion = '', kind }: OwnerReference): string =>
  `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''}/${kind}`;

/** The pod's controller and when its reference changes hands; undefined: it has none. */
export function handoverOf(pod: Pod): PodController | Refusal | undefined {
  const owner = controllerOf(pod);
  if (!owner) return undefined;
  const of = `The pod belongs to ${owner.kind} ${owner.name}`;
  const why = refused[groupKind(owner)];
  if (why !== undefined) return { reason: 'PodHasController', message: `${of}, ${why}` };
  const stated = statedBy(pod);
  if (stated && typeof stated !== 'string') return stated;
  const handover = known[groupKind(owner)] ?? stated;
  if (handover === undefined) {
    return {
      reason: 'PodHasController',
      message: `${of}, a kind of controller that Sealift does not know. If it deletes the pod that is not ready when it has one too many, as a ReplicaSet does, set the pod's annotation ${annotations.handover} to AfterResume; if it takes a pod that ends for a failure, as a Job does, to BeforeHold. If it finds the pod by its name, as a StatefulSet does, give the pod the label ${labels.handover}: ByName. Else create the pod without a controller.`,
    };
  }
  const { apiVersion = '', kind, name, uid, blockOwnerDeletion } = owner;
  const block = blockOwnerDeletion === undefined ? {} : { blockOwnerDeletion };
  return { apiVersion, kind, name, uid, ...block, handover };
}

/** What the pod says of its controller. The API server selects pods by labels alone, so one whose name it is to reserve has a label. */
function statedBy({ metadata }: Pod): Handover | Refusal | undefined {
  const { [annotations.handover]: annotation } = metadata.annotations;
  const { [labels.handover]: label } = metadata.labels;
  const bad = (message: string): Refusal => ({ reason: 'BadAnnotation', message });
  if (label !== undefined && label !== 'ByName') {
    return bad(
      `The pod's label ${labels.handover} is ${JSON.stringify(label)}. It may be ByName; AfterResume and BeforeHold are values of the annotation of that name.`,
    );
  }
  if (label === undefined && annotation === 'ByName') {
    return bad(
      `The pod's annotation ${annotations.handover} is ByName: that has to be the label of that name, by which the API server knows which pods' names it keeps free. Give it to the pods when they are made.`,
    );
  }
  const isKnown = annotation === 'AfterResume' || annotation === 'BeforeHold';
  if (annotation !== undefined && !isKnown && annotation !== 'ByName') {
    return bad(
      `The pod's annotation ${annotations.handover} is ${JSON.stringify(annotation)}. Set it to AfterResume or BeforeHold.`,
    );
  }
  if (label !== undefined && isKnown) {
    return bad(
      `The pod has the label ${labels.handover}: ByName, and the annotation ${annotations.handover}: ${annotation}. Remove one of them.`,
    );
  }
  return label === undefined ? annotation : 'ByName';
}

/** A pod that is made from a checkpoint may run beside the pod that was checkpointed; a controller would count both. */
export function refuseAnyController(pod: Pod): Refusal | undefined {
  const owner = controllerOf(pod);
  return (
    owner && {
      reason: 'PodHasController',
      message: `The pod belongs to ${owner.kind} ${owner.name}, which would take a pod that is restored from the checkpoint for one too many. Only a pod without a controller can be checkpointed: create the pod without one.`,
    }
  );
}

/** The reference to a controller, as it was on the source. */
export function referenceTo(controller: PodController): OwnerReference {
  const { handover: _handover, leftBehind: _leftBehind, ...reference } = controller;
  return { ...reference, controller: true };
}

/** Whether the pod belongs to this controller. */
export const isAttached = (pod: Pod, controller: PodController): boolean =>
  controllerOf(pod)?.uid === controller.uid;

/** Whether the pod has the owner that keeps other controllers away: a target, or a source whose place is taken. */
export const isDetached = (pod: Pod): boolean => controllerOf(pod)?.kind === 'Namespace';

/** The least of an int32. */
export const lowestCost = -(2 ** 31);

export const isReady = ({ status }: Pod): boolean =>
  status.conditions.some((one) => one.type === 'Ready' && one.status === 'True');
const costOf = ({ metadata }: Pod): number =>
  Number(metadata.annotations[annotations.deletionCost] ?? 0);

/** Whether the source is marked as the pod that its controller is to delete. */
export const isRetired = (source: Pod): boolean =>
  !isReady(source) && costOf(source) === lowestCost;

/**
 * Whether a ReplicaSet that has both deletes the source: the order of `ActivePodsWithRanks` in Kubernetes'
 * controller_utils.go. The first that differs decides: phase Running, readiness, deletion cost.
 * @param source is retired
 */
export function isWorthMore(target: Pod, source: Pod): boolean {
  if (!isRetired(source) || target.status.phase !== 'Running') return false;
  if (isReady(target)) return true;
  // The kubelet may yet write the condition Ready again, but not once it has seen that the containers have ended.
  const hasEnded = source.status.containerStatuses.some((one) => !one.ready);
  return hasEnded && costOf(target) > lowestCost;
}
