// SPDX-License-Identifier: Apache-2.0
// The kubelet and the runtime beneath it: makes each pod's sandbox (with the CNI delegate's calls), starts its containers
// one after another (through the shim and, for a restore, CRIU with its plugin), anew when they end, removes it all.
import { annotations } from '../../../crds/src/index.ts';
import type {
  CniReply,
  CniRequest,
  CreateReply,
} from '../../../node-agent/src/support/socket-protocol.ts';
import { ApiError, pods } from '../../../kube/src/index.ts';
import { startOrder } from '../../../node-agent/src/callers/request-lookup.ts';
import type { ApiServer } from '../api/server.ts';
import type { Stored } from '../api/objects.ts';
import { askAgent, type Failure } from './socket.ts';
import type { Container, Machine, Sandbox } from './machine.ts';

/** After that the kubelet gives up on a container's start. */
const startTimeoutMs = 120_000;
const syncMs = 5000;
const backoffMs = [1000, 10_000, 20_000, 40_000];

export interface KubeletLuck {
  /** The next restore ends before its gate. */
  restoreFails: boolean;
  /** The next CRIU that is let through its gate ends before it has let go of the tasks. */
  endsAtGate: boolean;
  /** The next restore never comes to its gate. */
  restoreHangs: boolean;
}

export interface KubeletHooks {
  /** Whose memory a pod's container continues. */
  lineageOf(pod: Stored): string;
  /** CRIU has put its own lock's end where it always is: before the gate. */
  restored?(sandbox: Sandbox): void;
}

interface Worker {
  readonly uid: string;
  readonly stop: AbortController;
  /** Failed starts and ends, one after the other: of the sandbox, and by container. */
  failures: number;
  readonly ends: Map<string, Ends>;
}

interface Ends {
  times: number;
  /** Not to be started before. */
  until: number;
  why: object;
}

export class Kubelet {
  readonly #machine: Machine;
  readonly #server: ApiServer;
  readonly #luck: KubeletLuck;
  readonly #hooks: KubeletHooks;
  readonly #workers = new Map<string, Worker>();
  readonly #wakes = new Map<string, () => void>();
  #isStopped = false;

  constructor(machine: Machine, server: ApiServer, luck: KubeletLuck, hooks: KubeletHooks) {
    this.#machine = machine;
    this.#server = server;
    this.#luck = luck;
    this.#hooks = hooks;
    server.store.onChange(({ before, after }) => {
      const object = after ?? before;
      if (object?.kind !== 'Pod' || this.#isStopped) return;
      if (object.spec?.['nodeName'] !== machine.name) return;
      this.#soon(object.metadata.uid);
    });
  }

  /** The node lost its power; another kubelet comes with the next boot. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Looks at every pod of the node, as after a boot. */
  start(): void {
    for (const pod of this.#server.store.all('Pod')) {
      if (pod.spec?.['nodeName'] === this.#machine.name) this.#soon(pod.metadata.uid);
    }
  }

  /** A container has ended by itself. */
  ended(podUid: string): void {
    this.#soon(podUid);
  }

  #soon(uid: string): void {
    const { timeline, boot } = this.#machine;
    timeline.after(timeline.jitter(2, 30), () => this.#wake(uid), boot);
  }

  #wake(uid: string): void {
    if (!this.#workers.has(uid)) {
      const stop = new AbortController();
      const worker: Worker = { uid, stop, failures: 0, ends: new Map() };
      this.#workers.set(uid, worker);
      void this.#work(worker);
    }
    const pod = this.#pod(uid);
    // What is being started is not waited for when the pod has to go.
    const dies = !pod || pod.metadata.deletionTimestamp !== undefined;
    if (dies) this.#workers.get(uid)?.stop.abort();
    this.#wakes.get(uid)?.();
  }

  #pod(uid: string): Stored | undefined {
    return this.#server.store.all('Pod').find((pod) => pod.metadata.uid === uid);
  }

  async #work(worker: Worker): Promise<void> {
    const { uid } = worker;
    for (;;) {
      const pod = this.#pod(uid);
      if (!pod || pod.metadata.deletionTimestamp !== undefined) {
        await this.#remove(uid, pod);
        if (!this.#pod(uid)) break;
      } else if (!worker.stop.signal.aborted) await this.#sync(worker, pod);
      await this.#sleep(uid, syncMs);
    }
    this.#workers.delete(uid);
  }

  /** Until something happens to the pod, or so. */
  async #sleep(uid: string, ms: number): Promise<void> {
    const awake = new AbortController();
    this.#wakes.set(uid, () => awake.abort());
    await this.#machine.boot.clock.sleep(ms, awake.signal);
    this.#wakes.delete(uid);
  }

  async #sync(worker: Worker, pod: Stored): Promise<void> {
    const machine = this.#machine;
    const { uid } = worker;
    for (const container of machine.containersOf(uid)) {
      if (container.state !== 'Dead') continue;
      machine.removeContainer(container);
      this.#note(worker, container.name, 'CrashLoopBackOff', 'it ended');
      this.#tell(worker);
    }
    const names = startOrder(pods.parse(pod));
    const absent = (name: string): boolean => {
      return !machine.containersOf(uid).some((one) => one.name === name && one.state !== 'Dead');
    };
    if (!names.some(absent)) {
      // Its status may have met a server that was down.
      if (pod.status?.['phase'] !== 'Running') this.#tell(worker);
      return;
    }
    if (worker.failures > 0 && !machine.sandboxes.has(uid)) {
      await machine.boot.clock.sleep(backOff(worker.failures), worker.stop.signal);
      if (worker.stop.signal.aborted) return;
    }
    const sandbox = machine.sandboxes.get(uid) ?? (await this.#connect(worker, pod));
    if (!sandbox) return;
    // One after another; what fails is come back to, but nothing is started before a sidecar that has not been.
    for (const name of names) {
      if (worker.stop.signal.aborted) return;
      if (!absent(name)) continue;
      const isStarted = await this.#try(worker, pod, sandbox, name);
      this.#tell(worker);
      if (!isStarted && isSidecar(pod, name)) return;
    }
  }

  async #try(worker: Worker, pod: Stored, sandbox: Sandbox, name: string): Promise<boolean> {
    const { timeline, boot } = this.#machine;
    const until = worker.ends.get(name)?.until ?? 0;
    if (until > timeline.now) {
      timeline.after(until - timeline.now, () => this.#soon(worker.uid), boot);
      return false;
    }
    const failure = await this.#start(worker, pod, sandbox, name);
    if (failure) {
      this.#note(worker, name, 'RunContainerError', `${failure.code}: ${failure.message}`);
      this.#soon(worker.uid);
      return false;
    }
    worker.ends.delete(name);
    return true;
  }

  #note(worker: Worker, name: string, reason: string, message: string): void {
    const times = (worker.ends.get(name)?.times ?? 0) + 1;
    const until = this.#machine.timeline.now + backOff(times);
    worker.ends.set(name, { times, until, why: { waiting: { reason, message } } });
  }

  /** The sandbox and its network; undefined: to be tried again. */
  async #connect(worker: Worker, pod: Stored): Promise<Sandbox | undefined> {
    const machine = this.#machine;
    const sandbox = machine.newSandbox(worker.uid, this.#hooks.lineageOf(pod));
    const { signal } = worker.stop;
    const before = await this.#cni('before', sandbox, pod, signal);
    if (before.ok && !sandbox.gone) {
      const hide = 'hide' in before && before.hide === true;
      sandbox.hidden = hide;
      sandbox.connected = true;
      const after = await this.#cni('after', sandbox, pod, signal, hide);
      if (after.ok) return sandbox;
    }
    worker.failures++;
    machine.removeSandbox(sandbox);
    this.#soon(worker.uid);
    return undefined;
  }

  #cni(
    phase: CniRequest['phase'],
    sandbox: Sandbox,
    pod: Stored | undefined,
    gone: AbortSignal,
    hidden = false,
  ): Promise<CniReply | Failure> {
    const request: CniRequest = {
      ...{ op: 'cni', phase, containerId: sandbox.id, netns: sandbox.netns, ifname: 'net1' },
      ...{ namespace: pod?.metadata.namespace ?? '', pod: pod?.metadata.name ?? '', hidden },
      podUid: sandbox.podUid,
    };
    return askAgent(this.#machine, (handlers, closed) => handlers.cni(request, closed), gone);
  }

  /** Starts the container; resolves when it runs or has failed. */
  async #start(
    worker: Worker,
    pod: Stored,
    sandbox: Sandbox,
    name: string,
  ): Promise<Failure | undefined> {
    const machine = this.#machine;
    const container = machine.newContainer(sandbox, name);
    const killed = new AbortController();
    const give = (): void => killed.abort();
    const timer = machine.boot.clock.after(startTimeoutMs, give);
    worker.stop.signal.addEventListener('abort', give, { once: true });
    const timeout = new Promise<Failure>((resolve) => {
      killed.signal.addEventListener('abort', () => {
        machine.removeContainer(container);
        resolve({ ok: false, code: 'DeadlineExceeded', message: 'the start took too long' });
      });
    });
    try {
      const failure = await Promise.race([this.#create(pod, container, killed.signal), timeout]);
      if (!failure && !isDead(container)) container.started = true;
      return failure;
    } finally {
      timer.cancel();
      worker.stop.signal.removeEventListener('abort', give);
    }
  }

  /** The shim: asks once more when a restore has failed. */
  async #create(
    pod: Stored,
    container: Container,
    killed: AbortSignal,
  ): Promise<Failure | undefined> {
    const { clock } = this.#machine.boot;
    const since = Math.floor(this.#machine.timeline.now);
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#createOnce(pod, container, { since, attempt }, killed);
      if (outcome !== 'failed') return outcome;
      await clock.sleep(Math.min(attempt, 5) * 1000, killed);
      if (isDead(container)) return undefined;
    }
  }

  async #createOnce(
    pod: Stored,
    container: Container,
    when: { since: number; attempt: number },
    killed: AbortSignal,
  ): Promise<Outcome> {
    const machine = this.#machine;
    const { id, bundle, name, podUid, sandbox } = container;
    const reply: CreateReply | Failure = await askAgent(
      machine,
      (handlers, gone) =>
        handlers.create(
          {
            ...{ op: 'create', id, bundle, sandboxId: sandbox.id, podUid, container: name },
            ...{ namespace: pod.metadata.namespace, pod: pod.metadata.name },
            ...when,
          },
          gone,
        ),
      killed,
    );
    if (isDead(container)) return undefined;
    if (!reply.ok) {
      machine.removeContainer(container);
      return reply;
    }
    if (reply.action === 'run') {
      await machine.boot.clock.sleep(machine.timeline.jitter(10, 50));
      if (isDead(container)) return undefined;
      container.memory = { lineage: sandbox.lineage, done: 0 };
      container.state = 'Running';
      return undefined;
    }
    return this.#restore(container, reply, killed);
  }

  /** runc restore: CRIU rebuilds the tasks, its plugin asks at the gate. */
  async #restore(
    container: Container,
    order: Extract<CreateReply, { action: 'restore' }>,
    killed: AbortSignal,
  ): Promise<Outcome> {
    const machine = this.#machine;
    container.state = 'Restoring';
    const imageId = order.imagePath.split('/').at(-2) ?? '';
    // What was rebuilt is gone, the bundle is not.
    const failed = (): 'failed' => {
      machine.endRestore(container);
      return 'failed';
    };
    const hangs = this.#luck.restoreHangs;
    this.#luck.restoreHangs = false;
    do await machine.boot.clock.sleep(machine.timeline.jitter(100, 500));
    while (hangs && container.state === 'Restoring' && !killed.aborted);
    if (container.state !== 'Restoring') return undefined;
    const image = machine.images.get(imageId);
    if (!image?.manifest || this.#luck.restoreFails) {
      this.#luck.restoreFails = false;
      return failed();
    }
    const done = image.memories[container.name]?.done ?? 0;
    container.memory = { lineage: container.sandbox.lineage, done };
    container.restored = true;
    container.state = 'AtResumeGate';
    this.#hooks.restored?.(container.sandbox);
    const token = order.env['SEALIFT_GATE'] ?? '';
    machine.released.delete(`${token}/${container.name}`);
    const opened = this.#gate(container, token, failed);
    if (order.background !== true) return opened;
    // The shim leaves it to itself once the agent says that it is there.
    let isLeft = false;
    void opened.then((outcome) => {
      if (outcome === undefined || !isLeft) return;
      machine.removeContainer(container);
      this.ended(container.podUid);
    });
    const told = askAgent(
      machine,
      (handlers, gone) => handlers.atGate({ op: 'atGate', token, container: container.name }, gone),
      killed,
    );
    const reply = await Promise.race([told, opened]);
    // Open already, or it has failed.
    if (reply === undefined || reply === 'failed' || isDead(container)) return opened;
    isLeft = reply.ok;
    return reply.ok ? undefined : reply;
  }

  /** The plugin's part: until it may let the tasks go. Leaves when they, or whoever knows of them, are gone. */
  async #gate(
    container: Container,
    token: string,
    failed: () => 'failed',
  ): Promise<'failed' | undefined> {
    const machine = this.#machine;
    const { name } = container;
    const reply = await askAgent(
      machine,
      (handlers, gone) => handlers.gate({ op: 'gate', token, container: name, pid: 1 }, gone),
      container.stop.signal,
    );
    if (container.state !== 'AtResumeGate') return undefined;
    if (!reply.ok) return failed();
    if (this.#luck.endsAtGate) {
      this.#luck.endsAtGate = false;
      return failed();
    }
    container.state = 'Running';
    machine.released.add(`${token}/${name}`);
    return undefined;
  }

  async #remove(uid: string, pod: Stored | undefined): Promise<void> {
    const machine = this.#machine;
    for (const container of machine.containersOf(uid)) machine.removeContainer(container);
    const sandbox = machine.sandboxes.get(uid);
    if (sandbox) {
      await machine.boot.clock.sleep(machine.timeline.jitter(5, 30));
      const patient = new AbortController();
      if (machine.socket) await this.#cni('del', sandbox, pod, patient.signal);
      machine.removeSandbox(sandbox);
    }
    if (!pod) return;
    await machine.boot.clock.sleep(machine.timeline.jitter(2, 10));
    this.#write(() => {
      const { namespace, name } = pod.metadata;
      this.#server.store.delete({ kind: 'Pod', namespace, name }, uid, 0);
    });
  }

  #tell(worker: Worker): void {
    const pod = this.#pod(worker.uid);
    if (!pod) return;
    const containers = this.#machine.containersOf(worker.uid);
    const statusOf = (name: string) => {
      const isStarted = containers.some((one) => one.name === name && one.started);
      const creating = { waiting: { reason: 'ContainerCreating' } };
      const state = isStarted ? { running: {} } : (worker.ends.get(name)?.why ?? creating);
      return { name, ready: isStarted, started: isStarted, state };
    };
    const names = startOrder(pods.parse(pod));
    const all = names.map((name) => statusOf(name));
    const status = {
      phase: all.every((one) => one.started) ? 'Running' : (pod.status?.['phase'] ?? 'Pending'),
      containerStatuses: all.filter(({ name }) => !isSidecar(pod, name)),
      initContainerStatuses: all.filter(({ name }) => isSidecar(pod, name)),
    };
    const { namespace, name } = pod.metadata;
    this.#write(() =>
      this.#server.store.merge(
        { kind: 'Pod', namespace, name },
        { metadata: { uid: worker.uid }, status },
        { by: `kubelet/${this.#machine.name}`, subresource: 'status' },
      ),
    );
  }

  /** What a stopped server does not take now is taken at the next look. */
  #write(work: () => unknown): void {
    if (this.#server.isDown) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}

/** Of one attempt: undefined: it runs; failed: runc has failed. */
type Outcome = Failure | 'failed' | undefined;

const backOff = (times: number): number => backoffMs[times - 1] ?? backoffMs.at(-1) ?? 0;

const isSidecar = (pod: Stored, name: string): boolean =>
  pods.parse(pod).spec.initContainers.some((one) => one.name === name);

/** Also after a wait, when it may be. */
const isDead = ({ state }: Container): boolean => state === 'Dead';

/** Which request made a pod, if any. */
export const madeBy = (pod: Stored): string | undefined =>
  pod.metadata.annotations?.[annotations.requestUid];
