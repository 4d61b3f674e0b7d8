// SPDX-License-Identifier: Apache-2.0
// The two moves of a pod that its controller finds by its name, as agents, kubelets and users would play them, and the chart's
// policy that reserves the name.
import { afterAll, beforeAll, expect } from 'vitest';
import type { MigrationRequest } from '../../crds/src/index.ts';
import { migrationRequests, nodes } from '../../kube/src/index.ts';
import { render } from '../../kube/testing/chart.ts';
import type { Manifest } from '../../kube/testing/definitions.ts';
import { policyPath } from '../../kube/testing/impersonation.ts';
import { ended, type Cluster } from './cluster.ts';
import { suiteControllerManager, type ControllerManager } from './controller-manager.ts';
import { aNodeOf, created, prepared } from './moving.ts';
import { containersEnded } from './workloads.ts';

const moves = migrationRequests;
const anyText = expect.any(String) as string;

/** From a target at its create gate to one that runs, as the agents would do it. */
export async function carryOut(
  c: Cluster,
  request: string,
  source: string,
  target: string,
): Promise<void> {
  await c.source(moves, request, { state: 'Sent' });
  await c.target(moves, request, { state: 'AtResumeGate' });
  await c.commit(moves, request);
  await c.target(moves, request, { state: 'Answering' });
  await c.source(moves, request, { state: 'Gone' });
  await containersEnded(c, source, 'Running');
  await c.podRuns(target);
  await c.target(moves, request, { state: 'Running' });
}

/** The first move, until its landing pod runs. @returns the landing pod's name */
export async function land(
  c: Cluster,
  request: string,
  pod: string,
  spec: object = {},
): Promise<string> {
  const landing = await prepared(c, request, pod, spec);
  await carryOut(c, request, pod, landing);
  return landing;
}

/** Waits for the request of an attempt of the second move. @returns its name */
export async function secondOf(c: Cluster, request: string, attempt = 1): Promise<string> {
  const { status } = await c.until(moves, request, { secondMove: { attempt } });
  return status.secondMove?.requestName ?? '';
}

/** Until the second move's target is at its create gate. */
export async function prepareSecond(c: Cluster, second: string): Promise<MigrationRequest> {
  const name = await created(c, second);
  const request = await c.client.get(moves, 'default', second);
  await c.bind(name, aNodeOf(request.status));
  await c.target(moves, second, { state: 'AtCreateGate' });
  return c.until(moves, second, { deadlines: { blackout: anyText } });
}

/** Its user stops the second move, and restarts the controllers and the operator; then its agents undo it. */
export async function cancelSecond(
  c: Cluster,
  manager: Pick<ControllerManager, 'start' | 'stop'>,
  second: string,
): Promise<void> {
  await c.client.merge(moves, 'default', second, { spec: { cancel: true } });
  await c.until(moves, second, { decision: { outcome: 'Aborted' } });
  await manager.stop();
  await c.stopOperator();
  await c.source(moves, second, { state: 'Resumed' });
  await c.target(moves, second, { state: 'TornDown' });
  manager.start();
  c.startOperator();
  await c.until(moves, second, ended('Cancelled'));
}

/** A whole second move. */
export async function moveOn(
  c: Cluster,
  request: string,
  landing: string,
  pod: string,
): Promise<string> {
  const second = await secondOf(c, request);
  await prepareSecond(c, second);
  await carryOut(c, second, landing, pod);
  await c.until(moves, second, ended('Succeeded'));
  return second;
}

export interface NamePolicy {
  /** Why it cannot be installed. */
  readonly lack: string | undefined;
  install(): Promise<void>;
  uninstall(): Promise<void>;
}

/** The chart's policy on names; the suite that calls this installs it itself. */
export function namePolicy(cluster: () => Cluster): NamePolicy {
  let manifests: Manifest[] = [];
  beforeAll(() => {
    manifests = render(cluster().server, 'name-policy.yaml') ?? [];
  });
  return {
    get lack() {
      return manifests.length === 0 ? 'no helm beside the API server' : undefined;
    },
    async install() {
      const { client } = cluster().server;
      for (const body of manifests)
        await client.rest.request({ method: 'POST', path: policyPath(body), body });
    },
    async uninstall() {
      const { client } = cluster().server;
      for (const one of manifests) {
        const path = `${policyPath(one)}/${one.metadata.name}`;
        await client.rest.request({ method: 'DELETE', path });
      }
    },
  };
}

/** What a suite of moves with real controllers has, from its first test to its last. */
export interface SuiteOfMoves {
  readonly manager: () => ControllerManager;
  /** Skips a test where something is lacking, and says what. */
  readonly needs: (skip: (why: string) => void) => void;
}

/** The controller manager, the policy on names, and a third node, `c`, for the suite that calls this. */
export function suiteOfMoves(cluster: () => Cluster): SuiteOfMoves {
  const manager = suiteControllerManager(cluster);
  const policy = namePolicy(cluster);
  beforeAll(() => policy.install());
  afterAll(() => policy.uninstall());
  beforeAll(() => cluster().addNode('c', 'rxe-1'));
  afterAll(() => cluster().client.delete(nodes, '', 'c'));
  const needs = (skip: (why: string) => void): void => {
    const why = manager().lack ?? policy.lack;
    if (why !== undefined) skip(why);
  };
  return { manager, needs };
}
