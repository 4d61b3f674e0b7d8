// SPDX-License-Identifier: Apache-2.0
// A source whose node is reset in the middle of a move: gone for good, unless the request asks for its newest checkpoint.
import { recovered } from '../faults/points.ts';
import { arm, disarm, OPERATOR, tripped } from '../faults/steps.ts';
import { expect, type Case, type Context } from '../src/case.ts';
import { numbers } from '../src/checks.ts';
import { run, top } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { podLog, podNames, startPod } from '../src/pods.ts';
import { checkpoint, create, ended, migration, restore, summary } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** An emulated node takes minutes to come back. */
const WITHIN_S = 900;
const POINT = 'source.dump.before';

async function newest(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const line = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done';
  await startPod({ namespace, name: 'counter', node: nodes[0], command: ['/bin/sh', '-c', line] });
  let last = -1;
  for (const name of ['older', 'newer']) {
    const from = last;
    last = await until('the counter counts', { within: 60 }, async () => {
      const n = numbers(await podLog(namespace, 'counter')).at(-1) ?? 0;
      return n > from + 5 ? n : undefined;
    });
    await create(checkpoint, namespace, name, { podName: 'counter' });
    const end = summary(await ended(checkpoint, { namespace, name }, c.tell));
    expect(end?.status === 'True', `the checkpoint failed: ${end?.reason}: ${end?.message}`);
  }
  await arm(nodes[0], [POINT], 'delay:20000');
  const points = recovered.map((one) => one.point);
  await arm(OPERATOR, points, 'throw');
  try {
    const onSourceLoss = 'RestoreNewestCheckpoint';
    const name = await requestMove({ namespace, pod: 'counter', to: nodes[1], onSourceLoss });
    await tripped(nodes[0], POINT, 180);
    c.tell(`  ${name} is held: its node is reset`);
    await run(`${top}/e2e/lab/lab.sh`, ['reset', nodes[0].slice(1)]);
    const request = await ended(migration, { namespace, name, within: WITHIN_S }, c.tell);
    const end = summary(request);
    c.tell(`  ${end?.reason}: ${end?.message}`);
    expect(end?.status === 'False' && end.reason === 'SourceLost', JSON.stringify(end));
    const made = request.status?.recovery?.restoreRequestName;
    expect(made !== undefined, 'the status names no RestoreRequest');
    const back = await ended(restore, { namespace, name: made, within: WITHIN_S }, c.tell);
    expect(summary(back)?.status === 'True', JSON.stringify(summary(back)));
    const pod = back.status?.target?.podName ?? '';
    const seen = await until('the counter goes on', { within: 60 }, async () => {
      const now = numbers(await podLog(namespace, pod));
      return now.length > 3 ? now : undefined;
    });
    expect(
      (seen[0] ?? 0) >= last,
      `it went on from ${seen[0]}, the newest checkpoint was at ${last}`,
    );
    const names = await podNames(namespace);
    expect(names.join() === pod, `pods: ${names.join(', ')}`);
  } finally {
    await disarm([...nodes, OPERATOR]);
  }
}

export const cases: readonly Case[] = [
  {
    name: 'recovery',
    promise: 'a source whose node is reset comes back from its newest checkpoint, as was asked for',
    run: newest,
  },
];
