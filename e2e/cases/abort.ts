// SPDX-License-Identifier: Apache-2.0
// Moves that are aborted: the source resumes, its peer sees a pause at most, and the request says why.
import { arm, disarm, waitUntilTripped } from '../faults/arming.ts';
import { whenCriuRuns } from '../faults/victims.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectMoveFails, expectContinues } from '../src/checks.ts';
import { kubectl, kubectlJson, onNode } from '../src/cluster.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { IDLE, newAddress, podLog, podStatus, startPod } from '../src/pods.ts';
import { waitUntilEnded, migration, succeededCondition } from '../src/requests.ts';
import { until } from '../src/wait.ts';

const configMap = (context: CaseContext): Promise<string> =>
  kubectl('-n', context.namespace, 'create', 'configmap', 'settings', '--from-literal=open=here');

/** CRIU restores no open file that has another size on the target: each container has a termination message of its own. */
async function restoreFails(context: CaseContext): Promise<void> {
  const serverPrelude = 'exec 3<>/dev/termination-log; echo begun >&3';
  const pair = new LedgerPair(context, { rate: 150, serverPrelude });
  await pair.start();
  await pair.waitForOperations('client', 300);
  await expectMoveFails(context, {
    pod: pair.pods.server,
    to: context.nodes[1],
    reason: 'RestoreFailed',
  });
  await expectContinues(context, pair, 300);
}

/** CRIU is killed while it has seized the tasks, with their TCP sockets in repair mode. */
async function criuIsKilled(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  for (const when of ['before', 'after']) {
    await pair.waitForOperations('client', 200);
    await arm(context.nodes[0], [`plugin.dump.image.${when}`], 'crash');
    try {
      await expectMoveFails(context, {
        pod: pair.pods.server,
        to: context.nodes[1],
        reason: 'CheckpointFailed',
      });
    } finally {
      await disarm(context.nodes);
    }
  }
  await expectContinues(context, pair, 300);
}

/** The next agent finds the CRIU of the killed one at work. It waits until that has given up. */
async function agentIsKilled(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  const point = 'source.dump.before';
  await arm(nodes[0], [point], 'delay:2000');
  const name = await requestMove({ namespace, pod: pair.pods.server, to: nodes[1] });
  await waitUntilTripped(nodes[0], point, 180).finally(() => disarm(nodes));
  const kill = 'pkill -KILL -f "[/]opt/app/agent.js run" && pgrep -x criu | wc -l';
  expect((await onNode(nodes[0], whenCriuRuns(kill))).trim() !== '0', 'CRIU had already ended');
  const request = await waitUntilEnded(migration, { namespace, name }, context.log);
  context.log(`  ${succeededCondition(request)?.reason}: ${succeededCondition(request)?.message}`);
  const { decision, target } = request.status ?? {};
  if (decision?.outcome === 'Committed') pair.follow('server', target?.podName ?? '', nodes[1]);
  await expectContinues(context, pair, 300);
}

/**
 * The only container of a source ends while it is locked, held and frozen. Its kubelet starts it again in the same sandbox:
 * peers have to reach it there, by TCP and by RDMA.
 */
async function sourceEnds(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const [name, address] = ['server', newAddress()];
  // By its rate the program is told from those of other cases.
  const options = ['--qps', '1', '--size', '4096', '--rate', '143', '--timeout', '18'];
  const command = ['ledger', 'server', ...options];
  await startPod({ namespace, name, node: nodes[0], address, command, restartPolicy: 'OnFailure' });
  const point = 'source.dump.before';
  await arm(nodes[0], [point], 'delay:6000');
  const move = await requestMove({ namespace, pod: name, to: nodes[1] });
  await waitUntilTripped(nodes[0], point, 180).finally(() => disarm(nodes));
  await onNode(nodes[0], 'pkill -KILL -f "[l]edger server .*--rate 143"');
  const request = await waitUntilEnded(migration, { namespace, name: move }, context.log);
  const end = succeededCondition(request);
  context.log(`  ${end?.reason}: ${end?.message}`);
  expect(end?.reason === 'SourceLost', `the move ended with ${JSON.stringify(end)}`);
  await until('the container runs again', { within: 240 }, async () => {
    const { ready, restarts } = await podStatus(namespace, name);
    return ready && restarts > 0 ? true : undefined;
  });
  await startPod({
    ...{ namespace, name: 'client', node: nodes[1], address: newAddress() },
    command: ['ledger', 'client', '--peer', address, ...options],
  });
  await until('200 operations with the container that runs again', { within: 180 }, async () => {
    const progress = (await podLog(namespace, 'client')).matchAll(/^progress (\d+)/gm);
    return Number([...progress].at(-1)?.[1] ?? 0) >= 200 ? true : undefined;
  });
}

/** The kubelet cannot start the target: the ConfigMap that it mounts has been deleted. */
async function prepareFails(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await configMap(context);
  const node = nodes[0];
  await startPod({ namespace, name: 'local', node, command: IDLE, configMap: 'settings' });
  await kubectl('-n', namespace, 'delete', 'configmap', 'settings');
  await expectMoveFails(context, {
    pod: 'local',
    to: nodes[1],
    timeouts: { prepareSeconds: 45 },
    reason: 'PrepareDeadlineExceeded',
  });
}

/** Half of the CPU that a node has for pods: two such requests and the agent's do not fit. */
async function halfOfCpu(node: string): Promise<string> {
  const { status } = (await kubectlJson('get', 'node', node)) as {
    status: { allocatable: { cpu: string } };
  };
  const { cpu } = status.allocatable;
  const milli = cpu.endsWith('m') ? Number(cpu.slice(0, -1)) : Number(cpu) * 1000;
  return `${Math.floor(milli / 2)}m`;
}

/** The other node has too little CPU. */
async function schedulingFails(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  for (const [name, node] of [
    ['stay', nodes[0]],
    ['filler', nodes[1]],
  ] as const)
    await startPod({ namespace, name, node, command: IDLE, cpuRequest: await halfOfCpu(node) });
  await expectMoveFails(context, {
    pod: 'stay',
    to: nodes[1],
    timeouts: { prepareSeconds: 60 },
    reason: 'TargetUnschedulable',
  });
}

export const cases: readonly Case[] = [
  {
    name: 'abort-restore',
    promise: 'If the target cannot be restored, the source resumes and no operation is lost.',
    inTest: true,
    run: restoreFails,
  },
  {
    name: 'abort-criu-killed',
    promise:
      'If CRIU is killed during the dump, the source resumes with its RDMA and TCP connections.',
    inTest: true,
    needs: ['shell'],
    run: criuIsKilled,
  },
  {
    name: 'abort-agent-in-dump',
    promise:
      'If the agent is killed during the dump, the application continues with its RDMA and TCP connections.',
    needs: ['shell'],
    run: agentIsKilled,
  },
  {
    name: 'source-ends-while-locked',
    promise:
      'If the only container of a pod ends in the pause, peers reach the one that its kubelet starts in its place.',
    needs: ['shell'],
    run: sourceEnds,
  },
  {
    name: 'abort-prepare',
    promise: 'If the target cannot be prepared, the source is untouched.',
    run: prepareFails,
  },
  {
    name: 'abort-schedule',
    promise: 'If the target cannot be scheduled, the source is untouched.',
    run: schedulingFails,
  },
];
