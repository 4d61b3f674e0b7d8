// SPDX-License-Identifier: Apache-2.0
import { annotations } from '../../../crds/src/index.ts';

interface Annotated {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
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

/** Whether a pod was created for this very request. Another pod of that name is not touched. */
export function isTargetOf(
  pod: Annotated,
  request: { readonly metadata: { readonly uid: string } },
): boolean {
  return pod.metadata.annotations[annotations.requestUid] === request.metadata.uid;
}
