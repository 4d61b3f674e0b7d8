// SPDX-License-Identifier: Apache-2.0
// The kubelet of a node: makes each pod's sandbox, starts its containers one after another and again when they end,
// reports the pod's status, and removes what a deleted pod leaves. Everything below it is `runtime.ts`.
import { ApiError, pods } from '../../../kube/src/index.ts';
import { startOrder } from '../../../node-agent/src/callers/request-lookup.ts';
import type { StoredObject } from '../api/objects.ts';
import type { ApiServer } from '../api/server.ts';
import { callCni } from './cni-delegate.ts';
import type { Machine, Sandbox } from './machine.ts';
import { isSidecar, podStatus } from './pod-status.ts';
import { isDead, Runtime, type RestoreFaults, type RuntimeHooks } from './runtime.ts';
import type { Failure } from './socket.ts';

/** The kubelet gives up on a container's start after that. */
const startTimeoutMs = 120_000;
const syncMs = 5000;
const backoffMs = [1000, 10_000, 20_000, 40_000];

export interface KubeletHooks extends Pick<RuntimeHooks, 'restored'> {
  /** The application that a pod's containers are copies of. */
  applicationOf(pod: StoredObject): string;
}

/** Works for one pod. */
interface Worker {
  readonly uid: string;
  readonly stop: AbortController;
  /** Consecutive failures to make the sandbox. */
  sandboxFailures: number;
  /** By container. */
  readonly failures: Map<string, ContainerFailure>;
}

interface ContainerFailure {
  /** Consecutive failed starts and ends. */
  times: number;
  /** Virtual time before which the kubelet does not start it again. */
  retryAt: number;
  waiting: object;
}

export class Kubelet {
  readonly #machine: Machine;
  readonly #server: ApiServer;
  readonly #runtime: Runtime;
  readonly #hooks: KubeletHooks;
  readonly #workers = new Map<string, Worker>();
  readonly #wakes = new Map<string, () => void>();
  /** Starts of containers that are under way. */
  readonly #starts = new Set<AbortController>();
  #isStopped = false;

  constructor(machine: Machine, server: ApiServer, faults: RestoreFaults, hooks: KubeletHooks) {
    this.#machine = machine;
    this.#server = server;
    this.#hooks = hooks;
    this.#runtime = new Runtime(machine, faults, hooks);
    server.store.onChange(({ before, after }) => {
      const object = after ?? before;
      if (object?.kind !== 'Pod' || this.#isStopped) return;
      if (object.spec?.['nodeName'] !== machine.name) return;
      this.#wakeSoon(object.metadata.uid);
    });
  }

  /** The node has lost its power. The next boot has a kubelet of its own. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Its outstanding calls end, and with them what the runtime was starting. Containers that are started stay. */
  restart(): void {
    for (const start of this.#starts) start.abort();
  }

  /** Looks at every pod of the node, as after a boot. */
  start(): void {
    for (const pod of this.#server.store.all('Pod')) {
      if (pod.spec?.['nodeName'] === this.#machine.name) this.#wakeSoon(pod.metadata.uid);
    }
  }

  /** The application of one of the pod's containers has ended. */
  containerEnded(podUid: string): void {
    this.#wakeSoon(podUid);
  }

  #wakeSoon(uid: string): void {
    const { timeline, boot } = this.#machine;
    timeline.after(timeline.jitter(2, 30), () => this.#wake(uid), boot);
  }

  #wake(uid: string): void {
    if (!this.#workers.has(uid)) {
      const stop = new AbortController();
      const worker: Worker = { uid, stop, sandboxFailures: 0, failures: new Map() };
      this.#workers.set(uid, worker);
      void this.#work(worker);
    }
    const pod = this.#pod(uid);
    // A pod that has to go does not wait for a start that is under way.
    const dies = !pod || pod.metadata.deletionTimestamp !== undefined;
    if (dies) this.#workers.get(uid)?.stop.abort();
    this.#wakes.get(uid)?.();
  }

  #pod(uid: string): StoredObject | undefined {
    return this.#server.store.all('Pod').find((pod) => pod.metadata.uid === uid);
  }

  async #work(worker: Worker): Promise<void> {
    const { uid } = worker;
    for (;;) {
      const pod = this.#pod(uid);
      if (!pod || pod.metadata.deletionTimestamp !== undefined) {
        await this.#removePod(uid, pod);
        if (!this.#pod(uid)) break;
      } else if (!worker.stop.signal.aborted) await this.#syncPod(worker, pod);
      await this.#sleep(uid, syncMs);
    }
    this.#workers.delete(uid);
  }

  /** Returns early when something happens to the pod. */
  async #sleep(uid: string, ms: number): Promise<void> {
    const awake = new AbortController();
    this.#wakes.set(uid, () => awake.abort());
    await this.#machine.boot.clock.sleep(ms, awake.signal);
    this.#wakes.delete(uid);
  }

  async #syncPod(worker: Worker, pod: StoredObject): Promise<void> {
    const machine = this.#machine;
    const { uid } = worker;
    for (const container of machine.containersOf(uid)) {
      if (container.state !== 'Dead') continue;
      machine.removeContainer(container);
      this.#recordFailure(worker, container.name, 'CrashLoopBackOff', 'it ended');
      this.#reportStatus(worker);
    }
    const names = startOrder(pods.parse(pod));
    const isAbsent = (name: string): boolean => {
      return !machine.containersOf(uid).some((one) => one.name === name && one.state !== 'Dead');
    };
    if (!names.some(isAbsent)) {
      // The API server may have been down when the status was reported last.
      if (pod.status?.['phase'] !== 'Running') this.#reportStatus(worker);
      return;
    }
    if (worker.sandboxFailures > 0 && !machine.sandboxes.has(uid)) {
      await machine.boot.clock.sleep(backOff(worker.sandboxFailures), worker.stop.signal);
      if (worker.stop.signal.aborted) return;
    }
    const sandbox = machine.sandboxes.get(uid) ?? (await this.#makeSandbox(worker, pod));
    if (!sandbox) return;
    // In order. A container that fails is retried later; no container starts before a sidecar that has not.
    for (const name of names) {
      if (worker.stop.signal.aborted) return;
      if (!isAbsent(name)) continue;
      const isStarted = await this.#tryStart(worker, pod, sandbox, name);
      this.#reportStatus(worker);
      if (!isStarted && isSidecar(pod, name)) return;
    }
  }

  async #tryStart(
    worker: Worker,
    pod: StoredObject,
    sandbox: Sandbox,
    name: string,
  ): Promise<boolean> {
    const { timeline, boot } = this.#machine;
    const retryAt = worker.failures.get(name)?.retryAt ?? 0;
    if (retryAt > timeline.now) {
      timeline.after(retryAt - timeline.now, () => this.#wakeSoon(worker.uid), boot);
      return false;
    }
    const failure = await this.#startContainer(worker, pod, sandbox, name);
    if (failure) {
      const message = `${failure.code}: ${failure.message}`;
      this.#recordFailure(worker, name, 'RunContainerError', message);
      this.#wakeSoon(worker.uid);
      return false;
    }
    worker.failures.delete(name);
    return true;
  }

  #recordFailure(worker: Worker, name: string, reason: string, message: string): void {
    const times = (worker.failures.get(name)?.times ?? 0) + 1;
    const retryAt = this.#machine.timeline.now + backOff(times);
    worker.failures.set(name, { times, retryAt, waiting: { waiting: { reason, message } } });
  }

  /** The sandbox and its network. @returns undefined if the agent refused: the kubelet tries again */
  async #makeSandbox(worker: Worker, pod: StoredObject): Promise<Sandbox | undefined> {
    const machine = this.#machine;
    const sandbox = machine.newSandbox(worker.uid, this.#hooks.applicationOf(pod));
    const { signal } = worker.stop;
    const before = await callCni(machine, 'before', sandbox, pod, signal);
    if (before.ok && !sandbox.gone) {
      const hide = 'hide' in before && before.hide === true;
      sandbox.hidden = hide;
      sandbox.connected = true;
      const after = await callCni(machine, 'after', sandbox, pod, signal, hide);
      if (after.ok) return sandbox;
    }
    worker.sandboxFailures++;
    machine.removeSandbox(sandbox);
    this.#wakeSoon(worker.uid);
    return undefined;
  }

  /** @returns once the container runs (undefined) or its start has failed. */
  async #startContainer(
    worker: Worker,
    pod: StoredObject,
    sandbox: Sandbox,
    name: string,
  ): Promise<Failure | undefined> {
    const machine = this.#machine;
    const container = machine.newContainer(sandbox, name);
    const killed = new AbortController();
    this.#starts.add(killed);
    const kill = (): void => killed.abort();
    const timer = machine.boot.clock.after(startTimeoutMs, kill);
    worker.stop.signal.addEventListener('abort', kill, { once: true });
    const timeout = new Promise<Failure>((resolve) => {
      killed.signal.addEventListener('abort', () => {
        machine.removeContainer(container);
        resolve({ ok: false, code: 'DeadlineExceeded', message: 'the start was cancelled' });
      });
    });
    try {
      const created = this.#runtime.create(pod, container, killed.signal);
      const failure = await Promise.race([created, timeout]);
      if (!failure && !isDead(container)) container.started = true;
      return failure;
    } finally {
      timer.cancel();
      this.#starts.delete(killed);
      worker.stop.signal.removeEventListener('abort', kill);
    }
  }

  async #removePod(uid: string, pod: StoredObject | undefined): Promise<void> {
    const machine = this.#machine;
    for (const container of machine.containersOf(uid)) machine.removeContainer(container);
    const sandbox = machine.sandboxes.get(uid);
    if (sandbox) {
      await machine.boot.clock.sleep(machine.timeline.jitter(5, 30));
      const never = new AbortController();
      if (machine.socket) await callCni(machine, 'del', sandbox, pod, never.signal);
      machine.removeSandbox(sandbox);
    }
    if (!pod) return;
    await machine.boot.clock.sleep(machine.timeline.jitter(2, 10));
    this.#write(() => {
      const { namespace, name } = pod.metadata;
      this.#server.store.delete({ kind: 'Pod', namespace, name }, uid, 0);
    });
  }

  #reportStatus(worker: Worker): void {
    const pod = this.#pod(worker.uid);
    if (!pod) return;
    const containers = this.#machine.containersOf(worker.uid);
    const status = podStatus(pod, containers, (name) => worker.failures.get(name)?.waiting);
    const { namespace, name } = pod.metadata;
    this.#write(() =>
      this.#server.store.merge(
        { kind: 'Pod', namespace, name },
        { metadata: { uid: worker.uid }, status },
        { by: `kubelet/${this.#machine.name}`, subresource: 'status' },
      ),
    );
  }

  /** A write that a stopped server misses is repeated at the next sync. */
  #write(work: () => unknown): void {
    if (this.#server.isDown) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}

const backOff = (times: number): number => backoffMs[times - 1] ?? backoffMs.at(-1) ?? 0;
