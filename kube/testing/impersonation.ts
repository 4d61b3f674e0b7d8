// SPDX-License-Identifier: Apache-2.0
// Requests to a test's API server in the name of somebody else, with all rights: what is refused then, a policy has refused.
import { Agent, fetch } from 'undici';
import { nodeClaim } from '../../crds/src/index.ts';
import type { TestServer } from './api-server.ts';

export interface Identity {
  readonly user: string;
  /** The node of the token's claim. */
  readonly node?: string | undefined;
}

export class Impersonation {
  readonly #server: TestServer;
  readonly #dispatcher = new Agent({ connect: { rejectUnauthorized: false } });

  constructor(server: TestServer) {
    this.#server = server;
  }

  /** A merge patch, or a new object. @returns `written`, or the server's message */
  async write(
    { user, node }: Identity,
    method: 'PATCH' | 'POST',
    path: string,
    body: object,
  ): Promise<string> {
    const extra = `Impersonate-Extra-${encodeURIComponent(nodeClaim)}`;
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const response = await fetch(this.#server.url + path, {
      method,
      dispatcher: this.#dispatcher,
      headers: {
        Authorization: 'Bearer test-token',
        'Content-Type': type,
        'Impersonate-User': user,
        'Impersonate-Group': 'system:masters',
        ...(node === undefined ? {} : { [extra]: node }),
      },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { message?: string };
    return response.ok ? 'written' : (answer.message ?? '');
  }

  close(): Promise<void> {
    return this.#dispatcher.close();
  }
}

const root = '/apis/admissionregistration.k8s.io/v1';

/** Path of the collection of ValidatingAdmissionPolicies or their bindings. */
export const policyPath = ({ kind }: { readonly kind: string }): string =>
  `${root}/${kind.toLowerCase()}`.replace(/policy$/, 'policies').replace(/binding$/, 'bindings');
