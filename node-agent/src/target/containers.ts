// SPDX-License-Identifier: Apache-2.0
// Where each container of a target is: nobody's gate, the create gate, CRIU's hands, the resume gate, beyond it.
// What the pod does next depends on all of them: docs/adr/0006.
import type { TargetContainer, TargetState } from '../../../crds/src/index.ts';
import { isRestoring, type Entry, type Stage } from '../journal/journal.ts';
import type { Restorer } from '../restore/restorer.ts';
import type { Failure, TargetObserved } from './decide.ts';
import { isAnother } from './entry.ts';
import type { Gates } from './gates.ts';

/** Leaves the kubelet time to see that a container that was just let go has started. */
const STARTS_WITHIN_MS = 100_000;
/** Stages in which CRIU is at work or may have been. */
const begun: ReadonlySet<Stage> = new Set(['restoring', 'atGate', 'opening']);
/** States of a pod that are those of each of its containers. */
const settled: ReadonlySet<TargetState> = new Set(['Running', 'TornDown', 'Failed']);

export class TargetContainers {
  readonly #gates: Gates;
  readonly #restorer: Restorer;

  constructor(parts: { gates: Gates; restorer: Restorer }) {
    this.#gates = parts.gates;
    this.#restorer = parts.restorer;
  }

  /** Who waits at the create gate. */
  created(uid: string, entry: Entry | undefined): TargetObserved['create'] {
    const waiting = this.#gates.atCreate(uid);
    if (waiting.some((one) => isAnother(entry, one))) return 'again';
    return waiting.length > 0 ? 'waiting' : 'none';
  }

  async atResumeGate(
    uid: string,
    entry: Entry | undefined,
  ): Promise<TargetObserved['atResumeGate']> {
    if (this.#gates.rebuilt(uid).length === 0) return 'none';
    if (!entry || entry.containers.length === 0) return 'some';
    return (await this.missing(entry)).length === 0 ? 'all' : 'some';
  }

  /** Containers that are neither at the resume gate nor, where the gates are being opened, beyond it. */
  async missing(entry: Entry): Promise<string[]> {
    const missing: string[] = [];
    for (const { name } of entry.containers) {
      if (this.#gates.atResume(entry.id, name)) continue;
      if (!(await this.isReleased(entry, name))) missing.push(name);
    }
    return missing;
  }

  /**
   * The container whose start the kubelet may give up any moment now (two minutes by its default, of which some have
   * passed before the create gate). Only the last one's: the others' creates have returned.
   */
  hardlyStarting(entry: Entry, now: number): string | undefined {
    const last = entry.containers.at(-1);
    return last?.since !== undefined && now - last.since > STARTS_WITHIN_MS ? last.name : undefined;
  }

  /** Containers that CRIU has in its hands, whether it gets on with them or not. */
  restoring(entry: Entry): Entry['containers'] {
    if (!isRestoring(entry)) return [];
    return entry.containers.filter(({ name }) => !this.#gates.atResume(entry.id, name));
  }

  /** Whether a container is beyond the resume gate. */
  async isReleased(entry: Entry, container: string): Promise<boolean> {
    return begun.has(entry.stage) && this.#restorer.released(entry.id, container);
  }

  /** How many containers are beyond the resume gate. */
  async released(entry: Entry | undefined): Promise<TargetObserved['released']> {
    if (!entry || entry.containers.length === 0) return 'none';
    const { containers } = entry;
    const beyond = await Promise.all(containers.map(({ name }) => this.isReleased(entry, name)));
    if (!beyond.includes(true)) return 'none';
    return beyond.includes(false) ? 'some' : 'all';
  }

  /**
   * Whether one that CRIU has not let go of will not be restored again: the create of all but the last one has returned,
   * and their kubelet does not start them twice.
   */
  async isHopeless(entry: Entry | undefined): Promise<boolean> {
    if (entry?.stage !== 'opening') return false;
    for (const { name, since } of entry.containers.slice(0, -1)) {
      if (since !== undefined || this.#gates.atResume(entry.id, name)) continue;
      if (!(await this.isReleased(entry, name)) && (await this.#failureOf(entry, name)))
        return true;
    }
    return false;
  }

  /** Whether the restore of every container whose gate has been opened has come to its end, whichever that is. */
  async haveEnded(entry: Entry): Promise<boolean> {
    for (const { name } of entry.containers) {
      if (await this.isReleased(entry, name)) continue;
      const isMadeAgain = this.#gates
        .atCreate(entry.id)
        .some((one) => one.container === name && isAnother(entry, one));
      if (!isMadeAgain && !(await this.#failureOf(entry, name))) return false;
    }
    return true;
  }

  /** The first failure that is found: what becomes of one container becomes of the pod. */
  async failure(entry: Entry): Promise<Failure | undefined> {
    if (!begun.has(entry.stage)) return undefined;
    for (const { name } of entry.containers) {
      if (this.#gates.atResume(entry.id, name) || (await this.isReleased(entry, name))) continue;
      const failure = await this.#failureOf(entry, name);
      if (!failure) continue;
      const which = entry.containers.length > 1 ? `container ${name}: ` : '';
      return { ...failure, message: which + failure.message };
    }
    return undefined;
  }

  async #failureOf(entry: Entry, name: string): Promise<Failure | undefined> {
    const bundle = entry.containers.find((one) => one.name === name)?.bundle;
    if (bundle === undefined) return undefined;
    return this.#restorer.failureOf({ requestUid: entry.id, container: name, bundle });
  }

  /** For the status. Until the gates open each container is where it is; then they are where the pod is. */
  states(uid: string, entry: Entry | undefined, pod: TargetState): TargetContainer[] {
    const waiting = this.#gates.atCreate(uid);
    const known = entry?.containers ?? [];
    const names = known.length > 0 ? known.map((one) => one.name) : waiting[0]?.containers;
    return (names ?? []).map((name) => {
      if (settled.has(pod)) return { name, state: pod };
      if (this.#gates.atResume(uid, name)) return { name, state: 'AtResumeGate' };
      const isBegun = known.some((one) => one.name === name && one.id !== undefined);
      if (waiting.some((one) => one.container === name) && !isBegun) {
        return { name, state: pod === 'Receiving' ? pod : 'AtCreateGate' };
      }
      return { name, state: isBegun ? 'Restoring' : 'Preparing' };
    });
  }
}
