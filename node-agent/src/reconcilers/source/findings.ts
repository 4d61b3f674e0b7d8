// SPDX-License-Identifier: Apache-2.0
// What a source has found out about its pod and tells in its part of the status.
import type { MigrationRequest, SourceAgent } from '../../../../crds/src/index.ts';
import type { Failure } from '../../support/errors.ts';
import type { Entry } from '../../support/journal/journal.ts';
import type { ManifestHeader } from '../../node/transfer/manifest.ts';
import type { SourceStatus } from './decide.ts';

type Told = Pick<
  SourceAgent,
  'bytes' | 'objects' | 'identity' | 'checkpointDigest' | 'peerBudgetMs'
>;

/** What a dump found out; the transfer needs the header. */
interface Known extends Told {
  header?: ManifestHeader;
}

/** By request. Lost by a restart: what was told is in the status, and without a header the dump is repeated. */
export class Findings {
  readonly #known = new Map<string, Known>();
  readonly #refused = new Map<string, Failure>();

  get(uid: string): Known {
    return this.#known.get(uid) ?? {};
  }

  know(uid: string, more: Known): void {
    this.#known.set(uid, { ...this.get(uid), ...more });
  }

  /** Findings before anything was begun; the journal has those after. */
  refuse(uid: string, why: Failure | undefined): void {
    if (why) this.#refused.set(uid, why);
    else this.#refused.delete(uid);
  }

  refused(uid: string): Failure | undefined {
    return this.#refused.get(uid);
  }

  forget(uid: string): void {
    this.#known.delete(uid);
    this.#refused.delete(uid);
  }

  /** The source's part of the status as the journal and this process know it. */
  part(request: MigrationRequest, entry: Entry | undefined, status: SourceStatus): SourceAgent {
    const { bytes, objects, identity, checkpointDigest, peerBudgetMs } = this.get(
      request.metadata.uid,
    );
    const told = request.status?.sourceAgent;
    const known: Partial<SourceAgent> = {
      steps: entry?.steps.length ? entry.steps : told?.steps,
      bytes: bytes ?? told?.bytes,
      objects: objects ?? told?.objects,
      identity: identity ?? told?.identity,
      checkpointDigest: checkpointDigest ?? told?.checkpointDigest,
      peerDeadline: entry?.peerDeadline ?? told?.peerDeadline,
      peerBudgetMs: peerBudgetMs ?? told?.peerBudgetMs,
    };
    return { ...known, ...status };
  }
}
