// SPDX-License-Identifier: Apache-2.0
// Liveness probes that would kill the pod in the pause: the agents and the shim put them off on both nodes.
import { arm, disarm } from '../faults/arming.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { kubectlJson } from '../src/cluster.ts';
import { move, requestMove } from '../src/move.ts';
import { IMAGE, startPod, type PodExtras } from '../src/pods.ts';
import { migration, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Two failures kill a container: 2 s without an answer. */
const eachSecond = { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 2 };
/** Longer than the kubelet waits. */
const PAUSE_MS = 6000;
const slowTimeouts = { blackoutSeconds: 110, restoreSeconds: 110 };

const container = (name: string, line: string, livenessProbe: object): object => ({
  ...{ name, image: IMAGE, imagePullPolicy: 'IfNotPresent', command: ['/bin/sh', '-c', line] },
  resources: { limits: { memory: '64Mi' }, requests: { cpu: '10m' } },
  livenessProbe: { ...eachSecond, ...livenessProbe },
});

const serve = (port: number): string => `mkdir -p /tmp/www && httpd -f -p ${port} -h /tmp/www`;

/** One container for each kind of liveness probe. */
const extras: PodExtras = {
  initContainers: [],
  containers: [
    container('http', `mkdir -p /tmp/www; echo ok > /tmp/www/index.html; ${serve(8002)}`, {
      httpGet: { path: '/', port: 8002 },
    }),
    container('program', 'while :; do sleep 1; done', { exec: { command: ['true'] } }),
  ],
  volumes: [],
  mounts: [],
};

interface Statuses {
  status: {
    phase?: string;
    containerStatuses?: { name: string; restartCount: number; state?: { running?: object } }[];
  };
}

/** Whether every container runs and none was ever restarted or killed. */
async function expectNeverRestarted(namespace: string, name: string): Promise<void> {
  const { status } = (await kubectlJson('-n', namespace, 'get', 'pod', name)) as Statuses;
  const all = status.containerStatuses ?? [];
  const running = all.filter((one) => one.restartCount === 0 && one.state?.running);
  const list = all.map((one) => `${one.name} ${one.restartCount} ${JSON.stringify(one.state)}`);
  expect(running.length === 3, `a probe has killed a container of ${name}: ${list.join('; ')}`);
}

async function probesInThePause(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  await startPod({
    ...{ namespace, name: 'probed', node: nodes[0], command: ['/bin/sh', '-c', serve(8001)] },
    livenessProbe: { ...eachSecond, tcpSocket: { port: 8001 } },
    extras,
  });
  await expectNeverRestarted(namespace, 'probed');
  await arm(nodes[0], ['source.dump.after'], `delay:${PAUSE_MS}`);
  await arm(nodes[1], ['target.unlock.before'], `delay:${PAUSE_MS}`);
  const { pod, entry } = await move(
    { namespace, pod: 'probed', to: nodes[1], workload: 'probed', timeouts: slowTimeouts },
    log,
  ).finally(() => disarm(nodes));
  context.results.moves.push(entry);
  await until('the moved pod runs', { within: 30 }, async () => {
    await expectNeverRestarted(namespace, pod);
    return true;
  });
  // The first probes that reach the restored containers themselves.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  await expectNeverRestarted(namespace, pod);
  await abortedMove(context, pod);
}

/** The second move fails after the pause: the pod must be there to resume. */
async function abortedMove({ namespace, nodes, log }: CaseContext, pod: string): Promise<void> {
  await arm(nodes[1], ['source.dump.after'], `delay:${PAUSE_MS}`);
  await arm(nodes[0], ['target.prepare.before'], 'throw');
  const name = await requestMove({ namespace, pod, to: nodes[0], timeouts: slowTimeouts });
  const request = await waitUntilEnded(migration, { namespace, name }, log).finally(() =>
    disarm(nodes),
  );
  const end = succeededCondition(request);
  expect(end?.status === 'False', `${name} was not aborted: ${end?.reason}`);
  await new Promise((resolve) => setTimeout(resolve, 5000));
  await expectNeverRestarted(namespace, pod);
}

export const cases: readonly Case[] = [
  {
    name: 'probes-in-the-pause',
    promise: 'No liveness probe kills a pod in the pause of a move, be it committed or aborted.',
    needs: ['shell'],
    run: probesInThePause,
  },
];
