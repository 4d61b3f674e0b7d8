// SPDX-License-Identifier: Apache-2.0
// Programs that kubectl exec starts beside a container's own, and names that a container chooses.
import { arm, disarm, waitUntilTripped } from '../faults/arming.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectMoveFails, expectUntouched, waitUntilTargetGone } from '../src/checks.ts';
import { CommandError } from '../src/command.ts';
import { cancelMove, move, requestMove, waitUntilCancelled } from '../src/move.ts';
import { execInPod, IDLE, podNames, podStatus, startPod } from '../src/pods.ts';
import { until } from '../src/wait.ts';

async function session(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({ namespace, name: 'joined', node: nodes[0], command: IDLE });
  const line = 'echo $$ > /tmp/session; exec sleep 86399';
  const joined = execInPod(namespace, 'joined', line).catch(() => '');
  await until('the session runs', { within: 60 }, async () =>
    (await execInPod(namespace, 'joined', 'cat /tmp/session || true')) === '' ? undefined : true,
  );
  await expectMoveFails(context, { pod: 'joined', to: nodes[1], reason: 'ExecSessionOpen' });
  await execInPod(namespace, 'joined', 'kill $(cat /tmp/session)');
  await joined;
  const { pod } = await move(
    { namespace, pod: 'joined', to: nodes[1], workload: 'idle' },
    context.log,
  );
  // The new pod can be joined.
  expect((await execInPod(namespace, pod, 'echo here')).trim() === 'here', 'no exec after a move');
}

async function refusedDuringDump(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({ namespace, name: 'dumped', node: nodes[0], command: IDLE });
  const before = await podStatus(namespace, 'dumped');
  const pods = await podNames(namespace);
  const point = 'source.dump.before';
  await arm(nodes[0], [point], 'delay:15000');
  try {
    const name = await requestMove({ namespace, pod: 'dumped', to: nodes[1] });
    await waitUntilTripped(nodes[0], point, 180);
    const said = await execInPod(namespace, 'dumped', 'echo here').catch((error: unknown) => {
      if (error instanceof CommandError) return error.stderr;
      throw error;
    });
    expect(/being moved/.test(said), `an exec into a dumped container says ${said}`);
    await cancelMove(namespace, name);
    await waitUntilCancelled(namespace, name, context.log);
  } finally {
    await disarm(nodes);
  }
  await waitUntilTargetGone(namespace, pods);
  await expectUntouched(namespace, before);
  const again = await execInPod(namespace, 'dumped', 'echo here');
  expect(again.trim() === 'here', `an exec after the source has resumed says ${again}`);
}

/** What CRIU logs when it ends, as names of files that the container has open. */
const NAMES = [
  'Restore finished successfully. Tasks resumed.',
  'Restoring FAILED.',
  'Dumping FAILED.',
  'Error (ibverbs): sealift: image-damaged: everything',
  "Error (criu.c:1): Can't dump this: No space left on device",
];

async function logTextInFileName(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const open = NAMES.map((name, at) => `exec ${at + 4}>"$(printf '%s\\n%s' x "${name}")" ;`);
  const command = ['/bin/sh', '-c', `cd /tmp; ${open.join(' ')} while :; do sleep 1; done`];
  await startPod({ namespace, name: 'named', node: nodes[0], command });
  const there = await move(
    { namespace, pod: 'named', to: nodes[1], workload: 'idle' },
    context.log,
  );
  // While a container that fails at its resume gate has such names, the move is aborted all the same.
  const point = 'target.decide.before';
  await arm(nodes[0], [point], 'delay:15000');
  try {
    const name = await requestMove({ namespace, pod: there.pod, to: nodes[0] });
    await waitUntilTripped(nodes[0], point, 180);
    await cancelMove(namespace, name);
    await waitUntilCancelled(namespace, name, context.log);
  } finally {
    await disarm(nodes);
  }
  const status = await podStatus(namespace, there.pod);
  expect(status.ready && status.restarts === 0, `the source ended: ${JSON.stringify(status)}`);
}

export const cases: readonly Case[] = [
  {
    name: 'exec-session',
    promise:
      'A move of a pod in which a program of kubectl exec runs fails with ExecSessionOpen; it succeeds when that has ended.',
    run: session,
  },
  {
    name: 'exec-during-dump',
    promise: 'kubectl exec into a pod that is being dumped is refused, and works after an abort.',
    needs: ['shell'],
    run: refusedDuringDump,
  },
  {
    name: 'log-text-in-a-file-name',
    promise:
      'A pod moves, and an aborted one resumes, whatever CRIU messages are the names of its open files.',
    needs: ['shell'],
    run: logTextInFileName,
  },
];
