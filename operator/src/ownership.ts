// SPDX-License-Identifier: Apache-2.0
import { annotations } from '../../crds/src/index.ts';

interface Annotated {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}

/** Whether a pod was created for this very request; a namesake is not touched. */
export function isTargetOf(
  pod: Annotated,
  request: { readonly metadata: { readonly uid: string } },
): boolean {
  return pod.metadata.annotations[annotations.requestUid] === request.metadata.uid;
}
