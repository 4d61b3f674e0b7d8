// SPDX-License-Identifier: Apache-2.0
// No exec in a container that is dumped (docs/architecture.md). CRIU dumps the descendants of a container's first task.
// What `kubectl exec` or an exec probe has started beside them would be lost, or be in the way of the dump. While the file
// sealift-moving is in a bundle, sealift-runc refuses every exec into its container. The checkpointer makes the file
// before anything else is done to the pod; the orphan sweep removes what an earlier agent has left.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';
import type { Host } from '../host/host.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import {
  BUNDLES,
  containerBundles,
  inspectContainer,
  type Container,
} from '../runtime/containers.ts';
import { markMoving, MOVING, unmarkMoving } from '../runtime/moving-marker.ts';
import {
  isInContainer,
  listProcesses,
  printable,
  PROC,
  readArguments,
  readProcess,
  readProgram,
  type ProcessInfo,
} from '../runtime/process.ts';
import { throwFirst } from './findings.ts';

/** Sealift's runc and sealift-runc, of whatever release, wherever a link has put them: it is the arguments that say enough. */
const RUNTIMES = /\/(sealift-runc|runc)( \(deleted\))?$/;
/** An exec probe ends by itself. The kubelet's default limit for one is a second. */
const WAIT_MS = 5000;
const POLL_MS = 50;
/** A process that is older than this is no probe. */
const SESSION_AGE_MS = 10_000;
/** Clock ticks of /proc are 10 ms on every architecture that Sealift runs on (sysconf(3), _SC_CLK_TCK). */
const TICK_MS = 10;

type Bundle = Pick<Container, 'id' | 'name' | 'bundle' | 'cgroup' | 'pid'>;

export class ExecSessions {
  readonly #host: Host;
  readonly #proc: string;
  readonly #waitMs: number;

  /** @param proc the directory /proc. @param waitMs how long `refuse` waits for what has begun */
  constructor(host: Host, proc = PROC, waitMs = WAIT_MS) {
    this.#host = host;
    this.#proc = proc;
    this.#waitMs = waitMs;
  }

  /** Changes nothing, and overlooks what may be a probe. @throws AgentError ExecSessionOpen */
  check(containers: readonly Bundle[]): Promise<void> {
    return throwFirst(this.findings(containers));
  }

  /** All that `check` would refuse. Changes nothing. */
  async *findings(containers: readonly Bundle[]): AsyncGenerator<AgentError> {
    for (const container of containers) {
      for (const one of await this.#joined(container)) {
        if (await this.#isOlder(one, SESSION_AGE_MS)) yield sessionOpen(container, one);
      }
    }
  }

  /**
   * From now on no exec enters the containers. Waits until each exec that had begun has entered, and until what is no part
   * of the containers' own has ended. May be repeated.
   * @param request for people: its kind and name
   * @throws AgentError ExecSessionOpen after 5 s. The refusal stays until `allow`.
   */
  async refuse(containers: readonly Bundle[], request: string): Promise<void> {
    for (const { bundle } of containers) await markMoving(this.#host, bundle, request);
    const end = performance.now() + this.#waitMs;
    for (;;) {
      const reason = await this.#inTheWay(containers);
      if (!reason) return;
      if (performance.now() > end) throw reason;
      await sleep(POLL_MS);
    }
  }

  /** Undoes `refuse`. */
  async allow(containers: readonly Pick<Bundle, 'bundle'>[]): Promise<void> {
    for (const { bundle } of containers) await unmarkMoving(this.#host, bundle);
  }

  /** Undoes the refusals that no request needs any more. @param isMoving whether a request of this node has the pod */
  async allowOrphans(isMoving: (podUid: string) => boolean): Promise<void> {
    for (const id of await containerBundles(this.#host)) {
      const bundle = join(BUNDLES, id);
      if (!(await exists(join(this.#host.path(bundle), MOVING)))) continue;
      const container = await inspectContainer(this.#host, id);
      if (!container || !isMoving(container.podUid)) await unmarkMoving(this.#host, bundle);
    }
  }

  async #inTheWay(containers: readonly Bundle[]): Promise<AgentError | undefined> {
    const joining = await this.#joining(containers);
    if (joining) {
      return new AgentError(
        'ExecSessionOpen',
        `Process ${joining.pid} has been starting a program in container ${joining.container} (kubectl exec or an exec ` +
          'probe) for too long. Create a new request when it has ended.',
      );
    }
    for (const container of containers) {
      const [first] = await this.#joined(container);
      if (first) return sessionOpen(container, first);
    }
    return undefined;
  }

  /** A runtime that is about to start a program in one of the containers. */
  async #joining(
    containers: readonly Bundle[],
  ): Promise<{ pid: number; container: string } | undefined> {
    for (const pid of await listProcesses(this.#proc)) {
      const program = await readProgram(pid, this.#proc);
      if (program === undefined || !RUNTIMES.test(program)) continue;
      // Whatever calls itself so in a container is not the node's.
      if ((await isInContainer(pid, this.#proc)) !== false) continue;
      const words = await readArguments(pid, this.#proc);
      const container = words.includes('exec') && containers.find(({ id }) => words.includes(id));
      if (container) return { pid, container: container.name };
    }
    return undefined;
  }

  /** Processes in the container's cgroup that are no descendants of its first task; not those that they have started. */
  async #joined({ cgroup, pid: first }: Bundle): Promise<ProcessInfo[]> {
    if (cgroup === undefined || first === undefined) return [];
    const inCgroup = new Map<number, ProcessInfo>();
    for (const pid of await new Cgroup(this.#host.path(cgroup)).tasks()) {
      const found = await readProcess(pid, this.#proc);
      if (found) inCgroup.set(pid, found);
    }
    return [...inCgroup.values()].filter(
      ({ pid, parent }) => pid !== first && !inCgroup.has(parent),
    );
  }

  async #isOlder({ startTime }: ProcessInfo, ms: number): Promise<boolean> {
    const uptime = Number((await readFile(join(this.#proc, 'uptime'), 'utf8')).split(' ')[0]);
    return uptime * 1000 - startTime * TICK_MS > ms;
  }
}

function sessionOpen({ name }: Bundle, { pid, name: command }: ProcessInfo): AgentError {
  return new AgentError(
    'ExecSessionOpen',
    `Process ${pid} (${printable(command)}) in container ${name} was started by kubectl exec or by ` +
      'an exec probe. It is no part of the container and would be lost. End it, or let the container itself start it; ' +
      'then create a new request.',
  );
}
