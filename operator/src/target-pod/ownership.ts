// SPDX-License-Identifier: Apache-2.0
// Whose a pod is: a request's, a controller's. Pure.
import { annotations } from '../../../crds/src/index.ts';
import type { OwnerReference, Pod } from '../../../kube/src/index.ts';

interface Annotated {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}

interface Named {
  readonly metadata: { readonly name: string; readonly uid: string };
}

/**
 * Whether the pod still names its request. A pod that has taken over does not: the agents would look for a request that
 * may be deleted whenever the kubelet recreates a container or the sandbox.
 */
export function namesRequest({ metadata }: Annotated): boolean {
  const { [annotations.migration]: migration, [annotations.restore]: restore } =
    metadata.annotations;
  return migration !== undefined || restore !== undefined;
}

interface Requested {
  readonly metadata: { readonly uid: string };
  readonly status?:
    | {
        readonly target?:
          | { readonly podName?: string | undefined; readonly podUID?: string | undefined }
          | undefined;
      }
    | undefined;
}

/**
 * Whether a pod is this very request's target: it has the name and, once it is known, the UID that the status records. Anybody
 * who may create pods may write the annotation. Another pod is not touched.
 */
export function isTargetOf(pod: Annotated & Named, request: Requested): boolean {
  const { annotations: written, name, uid } = pod.metadata;
  const target = request.status?.target;
  if (written[annotations.requestUid] !== request.metadata.uid) return false;
  if (target?.podName !== name) return false;
  return target.podUID === undefined || target.podUID === uid;
}

/**
 * The owner that a target has until its request ends. A pod with a controller is neither adopted nor counted by any
 * other, so none deletes it as surplus. A namespace is deleted only together with its pods: docs/adr/0013.
 */
export function namespaceOwner(name: string, uid: string): OwnerReference {
  return { apiVersion: 'v1', kind: 'Namespace', name, uid, controller: true };
}

/** The owners of a pod that is no target any more. */
export function ownersAfterMove({ metadata }: Pod): readonly OwnerReference[] {
  return metadata.ownerReferences.filter((one) => !(one.kind === 'Namespace' && one.controller));
}

/** The controller of a pod. */
export function controllerOf({ metadata }: Pick<Pod, 'metadata'>): OwnerReference | undefined {
  return metadata.ownerReferences.find((one) => one.controller === true);
}
