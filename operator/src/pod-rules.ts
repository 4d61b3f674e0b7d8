// SPDX-License-Identifier: Apache-2.0
// Which pods can be dumped at all. Pure.
import {
  annotations,
  labels,
  peersOf,
  refuseImpatient,
  RUNTIME_CLASS,
} from '../../crds/src/index.ts';
import type { ContainerStatus, Pod } from '../../kube/src/index.ts';
import type { Refusal } from './refusal.ts';

/** Volumes whose content is part of the images, or is made anew from the same API objects. */
const movableVolumes = new Set(['emptyDir', 'configMap', 'secret', 'projected', 'downwardAPI']);

/** @returns undefined for a pod that can be taken on. */
export function refusePod(pod: Pod | undefined, podName: string): Refusal | undefined {
  if (!pod)
    return { reason: 'PodNotFound', message: `There is no pod ${podName} in this namespace.` };
  return refuseKind(pod) ?? refuseState(pod) ?? refuseShape(pod);
}

/** How often the pod's containers were restarted, all together. */
export function restartsOf(pod: Pod): number {
  return pod.status.containerStatuses.reduce((sum, one) => sum + one.restartCount, 0);
}

/** Peers that could not be held as long as it takes, or of which the annotations say what cannot be. */
export function refusePeers(
  pod: Pod,
  timeouts: { readonly peerMarginMs?: number | undefined } = {},
): Refusal | undefined {
  const peers = peersOf(pod.metadata.annotations);
  return 'reason' in peers ? peers : refuseImpatient(peers, timeouts);
}

function refuseKind(pod: Pod): Refusal | undefined {
  if (pod.spec.runtimeClassName !== RUNTIME_CLASS) {
    return {
      reason: 'NotSealiftRuntime',
      message: `Create the pod with runtimeClassName: ${RUNTIME_CLASS}; it cannot be changed later.`,
    };
  }
  const owner = pod.metadata.ownerReferences.find((one) => one.controller === true);
  if (owner) {
    return {
      reason: 'PodHasController',
      message: `The pod belongs to ${owner.kind} ${owner.name}, which would replace or remove what is moved; only pods without a controller can be moved.`,
    };
  }
  return undefined;
}

function refuseState(pod: Pod): Refusal | undefined {
  if (pod.metadata.labels[labels.role] !== undefined) {
    const { [annotations.migration]: move, [annotations.restore]: copy } = pod.metadata.annotations;
    return {
      reason: 'AnotherMigration',
      message: `The pod is still being made by request ${move ?? copy ?? 'of another kind'}; wait until that has finished.`,
    };
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    return { reason: 'PodNotRunning', message: 'The pod is being deleted.' };
  }
  if (pod.status.phase !== 'Running') {
    return {
      reason: 'PodNotRunning',
      message: `The pod is in phase ${pod.status.phase || 'Unknown'}; wait until it runs.`,
    };
  }
  for (const { name } of pod.spec.containers) {
    const status = pod.status.containerStatuses.find((one) => one.name === name);
    const trouble = containerTrouble(status);
    if (trouble !== undefined) {
      return {
        reason: 'ContainerNotRunning',
        message: `Container ${name} ${trouble}; every container has to be running and ready.`,
      };
    }
  }
  return undefined;
}

function containerTrouble(status: ContainerStatus | undefined): string | undefined {
  if (!status) return 'has no status yet';
  if (status.state.waiting)
    return `is waiting (${status.state.waiting.reason || 'no reason given'})`;
  if (status.state.terminated)
    return `has ended (${status.state.terminated.reason || 'no reason given'})`;
  if (!status.state.running) return 'is in no known state';
  if (status.started === false) return 'has not passed its startup probe';
  if (!status.ready) return 'is not ready';
  return undefined;
}

function refuseShape(pod: Pod): Refusal | undefined {
  const { spec } = pod;
  const unsupported = (what: string): Refusal => ({
    reason: 'UnsupportedPod',
    message: `Sealift does not move pods with ${what}.`,
  });
  if (spec.containers.length > 1) {
    return {
      reason: 'MultipleContainers',
      message: 'The pod has several containers; only pods with one can be moved so far.',
    };
  }
  if (spec.hostNetwork) return unsupported('hostNetwork');
  if (spec.hostPID) return unsupported('hostPID');
  if (spec.hostIPC) return unsupported('hostIPC');
  if (spec.shareProcessNamespace === true) return unsupported('shareProcessNamespace');
  if (spec.resourceClaims.length > 0) return unsupported('resourceClaims');
  if (spec.ephemeralContainers.length > 0) return unsupported('ephemeral containers');
  const sidecar = spec.initContainers.find((one) => one.restartPolicy === 'Always');
  if (sidecar) return unsupported(`a restartable init container (${sidecar.name})`);
  for (const volume of spec.volumes) {
    const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'emptyDir';
    if (!movableVolumes.has(kind)) {
      return {
        reason: 'UnsupportedVolume',
        message: `Volume ${volume.name} is of kind ${kind}; supported are ${[...movableVolumes].join(', ')}.`,
      };
    }
  }
  return undefined;
}
