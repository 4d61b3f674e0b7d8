// SPDX-License-Identifier: Apache-2.0
// Reads what an answer to an eviction depends on, and creates the MigrationRequest that moves the pod.
import { evacuationRequest, isFinished, type Trigger } from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  Deadline,
  isAlreadyExists,
  KeyedMutex,
  listParsed,
  messageOf,
  migrationPolicies,
  migrationRequests,
  namespaces,
  pods,
  realClock,
  unlessNotFound,
  withFaults,
  type Api,
  type Clock,
  type EventRecorder,
  type Logger,
  type Pod,
} from '../../../kube/src/index.ts';
import { budgetMessage, forbids, takesFrom } from './budgets.ts';
import { BudgetReader } from './budget-reader.ts';
import {
  decideAtOnce,
  decideEviction,
  type Candidate,
  type Eviction,
  type EvictionAnswer,
} from './decide.ts';
import { Grants } from './grants.ts';
import { wishFor } from './wish.ts';

export interface EvictorParts {
  readonly api: Api;
  readonly events: EventRecorder;
  readonly log: Logger;
  readonly clock?: Clock;
}

const reasonOf: Readonly<Record<Trigger, string>> = {
  Eviction: 'It was evicted',
  Cordon: 'Its node is cordoned',
  Taint: 'Its node is tainted',
  Drain: 'Its node is drained',
};

/** Of the guard's answers: they read, and anybody may ask for them. */
const guardsAtOnce = 8;
/** How long the guard's refusal waits for the other webhook's call to come, and then for its answer to be on its way. */
const afterOtherMs = 100;
/** The API server waits for 10 s, and `kubectl drain` asks again after a refusal alone. */
const longestGuardMs = 7_000;
/** How many more evictions the guard thinks about, in turn. */
const mostWaiting = 64;
/** For how long the guard remembers what the other webhook was answered: the API server asks both at once. */
const rememberedMs = 1_000;

const keyOf = ({ namespace, podName }: Eviction): string => `${namespace}/${podName}`;
const exactKeyOf = (one: Eviction): string => `${keyOf(one)} ${one.podUid ?? ''} ${one.isDryRun}`;

export class Evictor {
  readonly #parts: EvictorParts;
  /** By pod: how many of its evictions are being answered. */
  readonly #answering = new Map<string, number>();
  /** What the secret path is being asked, or was a moment ago: by the API server, as nobody else knows it. */
  readonly #answers = new Map<string, Promise<EvictionAnswer>>();
  readonly #clock: Clock;
  #guarded = 0;
  /** Evictions whose guard's answer is not known yet. */
  #guarding = 0;
  /** By namespace: of evictions at the same time each sees the requests of those before it. */
  readonly #turns = new KeyedMutex();
  readonly #grants = new Grants();
  readonly #budgets: BudgetReader;

  constructor(parts: EvictorParts) {
    this.#parts = parts;
    this.#budgets = new BudgetReader(parts.api, this.#grants);
    this.#clock = parts.clock ?? realClock;
  }

  /**
   * Answers an eviction. What fails once it is known that the pod is Sealift's refuses the eviction: the client asks again.
   * @throws Error while that is not known: the webhook's failurePolicy decides then
   */
  async answer(eviction: Eviction, signal: AbortSignal): Promise<EvictionAnswer> {
    const key = keyOf(eviction);
    this.#answering.set(key, (this.#answering.get(key) ?? 0) + 1);
    const answer = this.#answer(eviction, signal);
    const exactKey = exactKeyOf(eviction);
    this.#answers.set(exactKey, answer);
    try {
      return await answer;
    } finally {
      this.#clock.after(rememberedMs, () => {
        if (this.#answers.get(exactKey) === answer) this.#answers.delete(exactKey);
      });
      const left = (this.#answering.get(key) ?? 1) - 1;
      if (left > 0) this.#answering.set(key, left);
      else this.#answering.delete(key);
    }
  }

  /**
   * Whether an eviction may go on, for whoever asks: it may be anybody (docs/adr/0028). Changes nothing, and says no more than
   * that. The same eviction is answered by `answer` at the same time: of two refusals the API server passes on the first, and
   * that one says more.
   * @throws Error while it cannot be known
   */
  async guard(eviction: Eviction, signal: AbortSignal): Promise<EvictionAnswer> {
    const refuse = (message: string): EvictionAnswer => ({ verdict: 'Refuse', message });
    const until = this.#clock.now() + longestGuardMs;
    using deadline = new Deadline(until, 'GuardTooSlow', signal, this.#clock);
    try {
      const mayGo = await deadline.race(this.#mayGoBeside(eviction, deadline.signal));
      if (mayGo === undefined) {
        return refuse('Too many evictions are asked for at once. Ask again.');
      }
      if (mayGo) return { verdict: 'Allow' };
    } catch (error) {
      if (!deadline.signal.aborted) throw error;
      return refuse(
        `Sealift could not find out in time whether pod ${eviction.podName} may be evicted. Ask again.`,
      );
    }
    const isOver = (): boolean => deadline.signal.aborted || !this.#answering.has(keyOf(eviction));
    do await this.#clock.sleep(afterOtherMs, deadline.signal);
    while (!isOver());
    await this.#clock.sleep(afterOtherMs, deadline.signal);
    return refuse(
      `Pod ${eviction.podName} is to be moved instead. Its eviction is refused until it has moved. Ask again.`,
    );
  }

  /**
   * When many ask, those of the API server do not wait for the others: it asks the other webhook about the same eviction, whose
   * answer is the guard's too.
   * @returns undefined: too many ask
   */
  async #mayGoBeside(eviction: Eviction, signal: AbortSignal): Promise<boolean | undefined> {
    if (this.#guarding >= guardsAtOnce) {
      const key = exactKeyOf(eviction);
      if (!this.#answers.has(key)) await this.#clock.sleep(afterOtherMs, signal);
      const answer = await this.#answers.get(key)?.catch(() => undefined);
      if (answer) return answer.verdict === 'Allow';
    }
    signal.throwIfAborted();
    if (this.#guarding >= guardsAtOnce + mostWaiting) return undefined;
    return this.#mayGo(eviction, signal);
  }

  /** In turn, for the guard. */
  async #mayGo(eviction: Eviction, signal: AbortSignal): Promise<boolean> {
    this.#guarding++;
    const turn = `guard ${this.#guarded++ % guardsAtOnce}`;
    try {
      return await this.#turns.run(turn, async () => {
        signal.throwIfAborted();
        const pod = await this.#pod(eviction, signal);
        const atOnce = decideAtOnce(eviction, pod);
        if (atOnce || !pod) return true;
        return decideEviction(eviction, await this.#observe(pod, signal)).verdict === 'Allow';
      });
    } finally {
      this.#guarding--;
    }
  }

  #pod({ namespace, podName }: Eviction, signal: AbortSignal): Promise<Pod | undefined> {
    return unlessNotFound(this.#parts.api.get(pods, namespace, podName, { signal }));
  }

  async #answer(eviction: Eviction, signal: AbortSignal): Promise<EvictionAnswer> {
    const { namespace, podName } = eviction;
    const pod = await this.#pod(eviction, signal);
    const atOnce = decideAtOnce(eviction, pod);
    if (atOnce) return atOnce;
    if (!pod) throw new Error('a pod that is not there was not answered at once');
    try {
      const answer = decideEviction(eviction, await this.#observe(pod, signal));
      if (answer.verdict === 'Refuse') return answer;
      return await this.#turns.run(namespace, () => this.#decide(eviction, pod, signal));
    } catch (error) {
      const detail = messageOf(error);
      this.#parts.log.warn({ pod: `${namespace}/${podName}`, detail }, 'eviction refused');
      const message = `Sealift could not find out what to do with pod ${podName} (${detail}). Evict it again.`;
      return { verdict: 'Refuse', message };
    }
  }

  async #decide(eviction: Eviction, pod: Pod, signal: AbortSignal): Promise<EvictionAnswer> {
    const candidate = await this.#observeWhole(pod, signal);
    const answer = decideEviction(eviction, candidate);
    if (answer.verdict === 'Allow' && !eviction.isDryRun && takesFrom(candidate)) {
      this.#grants.add(pod);
    }
    if (answer.verdict !== 'Move') return answer;
    const problem = await this.#move(candidate, 'Eviction', signal);
    return problem === undefined ? answer : { verdict: 'Refuse', message: problem };
  }

  /** Moves a pod away from its node, as its eviction would. It never evicts. */
  async evacuate(pod: Pod, trigger: Trigger, signal: AbortSignal): Promise<void> {
    const { namespace, name: podName, uid: podUid } = pod.metadata;
    await this.#turns.run(namespace, async () => {
      const candidate = await this.#observeWhole(pod, signal);
      const wish = { ...candidate.wish, moves: true };
      const eviction = { namespace, podName, podUid, isDryRun: false };
      const { verdict } = decideEviction(eviction, { ...candidate, wish });
      if (verdict === 'Move') await this.#move(candidate, trigger, signal);
    });
  }

  /** Whether the request of that name is not one that moves the pod. @returns what to do about it, as a sentence */
  async #otherRequest(pod: Pod, made: string, signal: AbortSignal): Promise<string | undefined> {
    const { namespace, name } = pod.metadata;
    const found = await unlessNotFound(
      this.#parts.api.get(migrationRequests, namespace, made, { signal }),
    );
    if (!found || (found.spec.podName === name && !found.spec.dryRun)) return undefined;
    return `MigrationRequest ${namespace}/${made} has the name that the request for pod ${name} needs, and does not move it: delete it.`;
  }

  /** With the budgets, which cost more and matter only for a pod that may go. */
  async #observeWhole(pod: Pod, signal: AbortSignal): Promise<Candidate> {
    const [candidate, budgets] = await Promise.all([
      this.#observe(pod, signal),
      this.#budgets.of(pod, signal),
    ]);
    return { ...candidate, budgets };
  }

  async #observe(pod: Pod, signal: AbortSignal): Promise<Candidate> {
    const { namespace, name, uid } = pod.metadata;
    const { api } = this.#parts;
    const ofPod = { namespace, fieldSelector: `spec.podName=${name}`, signal };
    const [owner, policies, requests, checkpoints] = await Promise.all([
      api.get(namespaces, '', namespace, { signal }),
      listParsed(api, migrationPolicies, { signal }),
      // One for an earlier pod of the same name says nothing about this one.
      listParsed(
        api,
        migrationRequests,
        ofPod,
        (one) => (one.status?.source?.podUID ?? uid) === uid,
      ),
      listParsed(api, checkpointRequests, ofPod, (one) => !isFinished(one)),
    ]);
    return {
      pod,
      wish: wishFor(pod, owner.metadata, policies),
      requests,
      checkpoints,
      budgets: [],
    };
  }

  /**
   * Creates the request that moves the pod, if there is none. Another replica may have created one for another pod at the
   * same time: if both are more than a budget allows, this one gives way.
   * @returns why it has not, as a sentence
   */
  async #move(
    { pod, wish, budgets }: Candidate,
    trigger: Trigger,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { api, events, log } = this.#parts;
    const { namespace, name } = pod.metadata;
    const body = evacuationRequest(pod, trigger, { ttlSecondsAfterFinished: wish.ttlSeconds });
    try {
      const made = await withFaults('operator.create-evacuation', async () =>
        migrationRequests.parse(await api.create(migrationRequests, namespace, body, { signal })),
      );
      const budget = budgets.length > 0 && forbids(await this.#budgets.of(pod, signal));
      if (budget) {
        const { uid } = made.metadata;
        await api.delete(migrationRequests, namespace, made.metadata.name, { uid, signal });
        return `Pod ${name} is not moved yet: ${budgetMessage(budget)}.`;
      }
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      return this.#otherRequest(pod, body.metadata.name, signal);
    }
    const why = reasonOf[trigger];
    const message = `${why}: MigrationRequest ${body.metadata.name} moves it to another node.`;
    events.record({ resource: pods, object: pod, type: 'Normal', reason: 'Evacuating', message });
    log.info(
      { pod: `${namespace}/${name}`, trigger, request: body.metadata.name },
      'a pod is moved away',
    );
    return undefined;
  }
}
