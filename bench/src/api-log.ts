// SPDX-License-Identifier: Apache-2.0
// Records each request to the API server, in the process that makes it. Watches are no requests: they are open before a
// move begins.
import { appendFileSync } from 'node:fs';
import type { KubeConfig } from '@kubernetes/client-node';
import { Rest, type RestRequest } from '../../kube/src/index.ts';

/** A request or whatever else takes time, in milliseconds since the epoch. */
export interface Span {
  readonly lane: string;
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export const nowMs = (): number => performance.timeOrigin + performance.now();

export class RecordingRest extends Rest {
  readonly #file: string;
  readonly #lane: string;

  /** @param file one JSON object a line is appended to it */
  constructor(config: KubeConfig, of: { file: string; lane: string }) {
    super(config, of.lane);
    this.#file = of.file;
    this.#lane = of.lane;
  }

  override async request(request: RestRequest): Promise<unknown> {
    const from = nowMs();
    let end = '';
    try {
      return await super.request(request);
    } catch (error) {
      end = ` ${(error as { code?: string }).code ?? 'failed'}`;
      throw error;
    } finally {
      const path = request.path.replace(/^\/apis?\/([^/]+\/)?v\w+\/(namespaces\/[^/]+\/)?/, '');
      const span: Span = {
        lane: this.#lane,
        name: `${request.method} ${path}${end}`,
        from,
        to: nowMs(),
      };
      appendFileSync(this.#file, `${JSON.stringify(span)}\n`);
    }
  }
}
