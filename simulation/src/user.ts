// SPDX-License-Identifier: Apache-2.0
// What a user of the cluster writes to the API server.
import { API_VERSION } from '../../crds/src/index.ts';
import { ApiError } from '../../kube/src/index.ts';

export const namespace = 'default';

/** A write by a user or by a part of the cluster that does not retry. A refusal by the server is ignored. */
export function asUser(write: () => unknown): void {
  try {
    write();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** A request as a user applies it. */
export function requestBody(kind: string, name: string, spec: object): never {
  return { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec } as never;
}
