// SPDX-License-Identifier: Apache-2.0
// The containers of a target, as this node knows them: who waits at the create gate, who is in CRIU's hands, and where
// that puts each of them (places.ts).
import type { TargetContainer, TargetState } from '../../../../crds/src/index.ts';
import { isRestoring, type Entry, type Stage } from '../../support/journal/journal.ts';
import type { Restorer } from '../../node/restore/restorer.ts';
import type { TargetObserved } from './decide.ts';
import { isOtherAttempt } from './journal-entry.ts';
import type { Gates } from '../../callers/gates.ts';
import {
  ContainerStates,
  type ContainerState,
  type ContainerWithState,
} from './container-states.ts';

/** Leaves the kubelet time to see that a container that was just let go has started. */
const STARTS_WITHIN_MS = 100_000;
/** Stages in which CRIU is at work or may have been. */
const begun: ReadonlySet<Stage> = new Set(['Restoring', 'AtResumeGate', 'Resuming']);
/** States of a pod that are those of each of its containers. */
const settled: ReadonlySet<TargetState> = new Set(['Running', 'TornDown', 'Failed']);

export class TargetContainers {
  readonly #gates: Gates;
  readonly #restorer: Restorer;

  constructor(deps: { gates: Gates; restorer: Restorer }) {
    this.#gates = deps.gates;
    this.#restorer = deps.restorer;
  }

  /** Who waits at the create gate. */
  created(uid: string, entry: Entry | undefined): TargetObserved['create'] {
    const waiting = this.#gates.listAtCreateGate(uid);
    if (waiting.some((one) => isOtherAttempt(entry, one))) return 'again';
    return waiting.length > 0 ? 'waiting' : 'none';
  }

  atResumeGate(uid: string, places: ContainerStates): TargetObserved['atResumeGate'] {
    if (this.#gates.listAtResumeGate(uid).length === 0) return 'none';
    return places.areKnown && places.missing().length === 0 ? 'all' : 'some';
  }

  /** Reads each container's log once. */
  async look(entry: Entry | undefined): Promise<ContainerStates> {
    if (!entry) return new ContainerStates(undefined, []);
    const placed: ContainerWithState[] = [];
    for (const one of entry.containers) {
      placed.push({ name: one.name, place: await this.#place(entry, one) });
    }
    return new ContainerStates(entry, placed);
  }

  async #place(
    entry: Entry,
    { name, bundle }: Entry['containers'][number],
  ): Promise<ContainerState> {
    if (this.#gates.getAtResumeGate(entry.id, name)) return 'AtResumeGate';
    if (!begun.has(entry.stage)) return 'Pending';
    if (await this.#restorer.isDetached(entry.id, name)) return 'Detached';
    if (bundle === undefined) return 'Pending';
    const order = { requestUid: entry.id, container: name, bundle };
    return (await this.#restorer.failureReason(order)) ?? 'Pending';
  }

  /**
   * The container whose start the kubelet may give up any moment now (two minutes by its default, of which some have
   * passed before the create gate). Only the last one's: the others' creates have returned. So has the last one's, once
   * CRIU has detached from it and it waits at its gate no more.
   */
  hardlyStarting(entry: Entry, now: number): string | undefined {
    const last = entry.containers.at(-1);
    if (last?.since === undefined) return undefined;
    if (!this.#gates.getAtResumeGate(entry.id, last.name)) return undefined;
    return now - last.since > STARTS_WITHIN_MS ? last.name : undefined;
  }

  /** Containers that CRIU has in its hands, whether it gets on with them or not. */
  restoring(entry: Entry): Entry['containers'] {
    if (!isRestoring(entry)) return [];
    return entry.containers.filter(({ name }) => !this.#gates.getAtResumeGate(entry.id, name));
  }

  /** Whether the restore of every container whose gate has been opened has come to its end, whichever that is. */
  haveEnded(entry: Entry, places: ContainerStates): boolean {
    const again = this.#gates
      .listAtCreateGate(entry.id)
      .filter((one) => isOtherAttempt(entry, one));
    return places.going().every((name) => again.some((one) => one.container === name));
  }

  /** For the status. Until the gates open each container is where it is; then they are where the pod is. */
  states(uid: string, entry: Entry | undefined, pod: TargetState): TargetContainer[] {
    const waiting = this.#gates.listAtCreateGate(uid);
    const known = entry?.containers ?? [];
    const names = known.length > 0 ? known.map((one) => one.name) : waiting[0]?.containers;
    return (names ?? []).map((name) => {
      if (settled.has(pod)) return { name, state: pod };
      if (this.#gates.getAtResumeGate(uid, name)) return { name, state: 'AtResumeGate' };
      const isBegun = known.some((one) => one.name === name && one.id !== undefined);
      if (waiting.some((one) => one.container === name) && !isBegun) {
        return { name, state: pod === 'Receiving' ? pod : 'AtCreateGate' };
      }
      return { name, state: isBegun ? 'Restoring' : 'Preparing' };
    });
  }
}
