// SPDX-License-Identifier: Apache-2.0
// Fills a cluster: nodes with Sealift, pods that nobody moves, pods that are to be moved, and their requests.
import { annotations, labels, RUNTIME_CLASS } from '../../crds/src/index.ts';
import { migrationRequests, nodes, pods, type Client } from '../../kube/src/index.ts';
import type { TestServer } from '../../kube/testing/api-server.ts';

export interface Sizes {
  readonly nodes: number;
  /** That are not to be moved. */
  readonly pods: number;
  readonly requests: number;
}

/** More at a time only makes the API server slower on two cores. */
const AT_A_TIME = 8;
export const nodeName = (at: number): string => `node-${at}`;

export async function fill(
  { client }: TestServer,
  sizes: Sizes,
  log: (what: string) => void,
): Promise<void> {
  await each(sizes.nodes, (at) => makeNode(client, nodeName(at)));
  log(`${sizes.nodes} nodes`);
  await each(sizes.pods, async (at) => {
    await makePod(client, `foreign-${at}`, nodeName(at % sizes.nodes), undefined);
    if (at > 0 && at % 10_000 === 0) log(`${at} foreign pods`);
  });
  log(`${sizes.pods} foreign pods`);
  await each(sizes.requests, async (at) => {
    await makePod(client, `move-${at}`, nodeName(at % sizes.nodes), RUNTIME_CLASS);
  });
  await each(sizes.requests, async (at) => {
    const name = `move-${at}`;
    const body = { metadata: { name }, spec: { podName: name } };
    await client.create(migrationRequests, 'default', body);
  });
  log(`${sizes.requests} requests`);
}

async function each(count: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

async function makeNode(client: Client, name: string): Promise<void> {
  await client.create(nodes, '', {
    metadata: {
      name,
      labels: { [labels.driverAbi]: 'rxe-1' },
      annotations: { [annotations.agentAddress]: `${name}:7460` },
    },
  });
  const condition = { type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() };
  await client.merge(nodes, '', name, { status: { conditions: [condition] } }, { subresource: 'status' }); // prettier-ignore
  await client.merge(nodes, '', name, { spec: { taints: null } });
}

/** A pod of usual size: what the operator would keep of it is what counts. */
async function makePod(
  client: Client,
  name: string,
  node: string,
  runtimeClassName: string | undefined,
): Promise<void> {
  const environment = Array.from({ length: 12 }, (_none, at) => ({ name: `VARIABLE_${at}`, value: 'x'.repeat(40) })); // prettier-ignore
  await client.create(pods, 'default', {
    metadata: { name, labels: { app: name, tier: 'backend' } },
    spec: {
      nodeName: node,
      ...(runtimeClassName === undefined ? {} : { runtimeClassName }),
      containers: [
        { name: 'main', image: 'registry.example/team/application:1', env: environment },
      ],
    },
  });
  if (runtimeClassName === undefined) return;
  const now = new Date().toISOString();
  const status = {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [
      {
        ...{ name: 'main', ready: true, started: true, restartCount: 0, image: 'x', imageID: '' },
        state: { running: { startedAt: now } },
      },
    ],
  };
  await client.merge(pods, 'default', name, { status }, { subresource: 'status' });
}
