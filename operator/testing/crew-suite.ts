// SPDX-License-Identifier: Apache-2.0
// Pods of a custom resource whose controller finds them by their names, as an MPIJob's: it makes `<name>-worker-<i>` when there is
// none, tries again when the API server refuses, and leaves pods alone that belong to others.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { labels } from '../../crds/src/index.ts';
import {
  ApiError,
  FaultError,
  migrationRequests,
  nodes,
  ownFaults,
  pods,
  type Pod,
} from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { land, moveOn, namePolicy } from './two-moves.ts';
import { podTemplate, Workloads } from './workloads.ts';

const moves = migrationRequests;

/** The resource's controller. It needs no definition of the resource: nothing but the reference matters. */
class CrewController {
  readonly #c: Cluster;
  readonly #name: string;
  readonly #podLabels: Record<string, string>;
  readonly #stop = new AbortController();
  readonly reference: object;
  #running: Promise<void> | undefined;
  /** How often the API server has refused a pod. */
  refused = 0;

  constructor(c: Cluster, name: string, podLabels: Record<string, string>) {
    this.#c = c;
    this.#name = name;
    this.#podLabels = podLabels;
    const crew = { apiVersion: 'example.org/v1', kind: 'Crew', name, uid: `uid-of-${name}` };
    this.reference = { ...crew, controller: true };
  }

  start(count: number): void {
    this.#running = (async () => {
      while (!this.#stop.signal.aborted) {
        for (let i = 0; i < count; i++) await this.#sync(`${this.#name}-worker-${i}`);
        await sleep(100);
      }
    })();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #sync(name: string): Promise<void> {
    if (await this.#c.pod(name)) return;
    const { metadata, spec } = podTemplate(this.#name) as { metadata: object; spec: object };
    const own = { app: this.#name, ...this.#podLabels };
    const body = {
      metadata: { ...metadata, name, labels: own, ownerReferences: [this.reference] },
      spec: { ...spec, hostname: name, subdomain: this.#name },
    };
    try {
      await this.#c.client.create(pods, 'default', body);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500) throw error;
      this.refused++;
    }
  }
}

export function crewSuite(cluster: () => Cluster): void {
  describe('a pod of a custom resource that goes by names', { timeout: 120_000 }, () => {
    const policy = namePolicy(cluster);
    beforeAll(async () => {
      await policy.install();
      await cluster().addNode('c', 'rxe-1');
    });
    afterAll(async () => {
      await policy.uninstall();
      await cluster().client.delete(nodes, '', 'c');
    });
    afterEach(() => ownFaults(undefined));

    async function running(
      name: string,
      podLabels: Record<string, string>,
      by: (w: Workloads, crew: CrewController) => Promise<void>,
    ): Promise<void> {
      const w = new Workloads(cluster(), name);
      const crew = new CrewController(cluster(), name, podLabels);
      await w.start();
      crew.start(2);
      try {
        await w.ready(2);
        await by(w, crew);
      } finally {
        await crew.stop();
        for (const one of w.names)
          await cluster()
            .client.delete(pods, 'default', one)
            .catch(() => 0);
        await w.stop();
      }
    }

    it('moves and keeps name and controller, which makes none beside it', async ({ skip }) => {
      if (policy.lack !== undefined) return skip(policy.lack);
      const c = cluster();
      await running('crew', { [labels.handover]: 'ByName' }, async (w, crew) => {
        const name = 'crew-worker-0';
        // The name may be free for less than the time in which its controller notices: the operator goes on once it has.
        ownFaults((point) => {
          const isEarly = point === 'operator.create-second-move.before' && crew.refused === 0;
          return isEarly ? Promise.reject(new FaultError(point)) : undefined;
        });
        const landing = await land(c, 'crew', name);
        await moveOn(c, 'crew', landing, name);
        await c.until(moves, 'crew', ended('Succeeded'));
        const after = (await c.pod(name)) as Pod;
        expect(after.metadata.ownerReferences).toEqual([crew.reference]);
        expect(['b', 'c']).toContain(after.spec.nodeName);
        expect(after.metadata.labels[labels.handover]).toBe('ByName');
        await eventually(() => c.pod(landing)).toBeUndefined();
        expect(crew.refused, 'it has tried to make one').toBeGreaterThan(0);
        expect(w.names).toEqual(new Set([name, 'crew-worker-1', landing]));
        expect(w.uidsOf(name).size, 'the source and the target').toBe(2);
      });
    });

    it('is refused where it does not say how its controller finds it', async ({ skip }) => {
      if (policy.lack !== undefined) return skip(policy.lack);
      const c = cluster();
      await running('mute', {}, async (_w, crew) => {
        await c.migrate('mute', 'mute-worker-0');
        const { status } = await c.until(moves, 'mute', {
          ...ended('Failed'),
          ...failed('PodHasController'),
        });
        const [{ message = '' } = {}] =
          status.conditions?.filter((one) => one.type === 'Succeeded') ?? [];
        expect(message).toMatch(
          /belongs to Crew mute, .* the label sealift.dev\/controller-handover: ByName/,
        );
        const pod = (await c.pod('mute-worker-0')) as Pod;
        expect(controllerOf(pod)).toMatchObject(crew.reference);
      });
    });
  });
}
