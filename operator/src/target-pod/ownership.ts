// SPDX-License-Identifier: Apache-2.0
import { annotations } from '../../../crds/src/index.ts';

interface Annotated {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}

/**
 * Whether the pod still names its request. After the move it need not: the agents would ask for a
 * request that may be deleted by then whenever the pod's container or sandbox is made anew.
 */
export function namesRequest({ metadata }: Annotated): boolean {
  const { [annotations.migration]: move, [annotations.restore]: copy } = metadata.annotations;
  return move !== undefined || copy !== undefined;
}

/** Whether a pod was created for this very request; a namesake is not touched. */
export function isTargetOf(
  pod: Annotated,
  request: { readonly metadata: { readonly uid: string } },
): boolean {
  return pod.metadata.annotations[annotations.requestUid] === request.metadata.uid;
}
