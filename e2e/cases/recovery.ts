// SPDX-License-Identifier: Apache-2.0
// A source whose node is reset during a move is lost. The request may ask for a restore from the newest checkpoint.
import { recoveryPoints } from '../faults/points.ts';
import { arm, disarm, OPERATOR, waitUntilTripped } from '../faults/arming.ts';
import { onNode } from '../src/cluster.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { numbersIn } from '../src/checks.ts';
import { requestMove } from '../src/move.ts';
import { podLog, podNames, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import {
  checkpoint,
  createRequest,
  waitUntilEnded,
  migration,
  restore,
  succeededCondition,
} from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** An emulated node takes minutes to boot. */
const WITHIN_S = 900;
const POINT = 'source.dump.before';

async function restoreNewest(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const line = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done';
  await startPod({ namespace, name: 'counter', node: nodes[0], command: ['/bin/sh', '-c', line] });
  let last = -1;
  for (const name of ['older', 'newer']) {
    const from = last;
    last = await until('the counter counts', { within: 60 }, async () => {
      const n = numbersIn(await podLog(namespace, 'counter')).at(-1) ?? 0;
      return n > from + 5 ? n : undefined;
    });
    await createRequest(checkpoint, namespace, name, { podName: 'counter' });
    const end = succeededCondition(
      await waitUntilEnded(checkpoint, { namespace, name }, context.log),
    );
    expect(end?.status === 'True', `the checkpoint failed: ${end?.reason}: ${end?.message}`);
  }
  await arm(nodes[0], [POINT], 'delay:20000');
  const points = recoveryPoints.map((one) => one.point);
  await arm(OPERATOR, points, 'throw');
  try {
    const onSourceLoss = 'RestoreNewestCheckpoint';
    const name = await requestMove({ namespace, pod: 'counter', to: nodes[1], onSourceLoss });
    await waitUntilTripped(nodes[0], POINT, 180);
    // The CNI plugins' notes of a sandbox that has just begun: with empty ones no kubelet takes it down.
    await onNode(nodes[0], 'sync');
    context.log(`  ${name} is held; resetting its node`);
    await provider.reset(nodes[0]);
    const request = await waitUntilEnded(
      migration,
      { namespace, name, within: WITHIN_S },
      context.log,
    );
    const end = succeededCondition(request);
    context.log(`  ${end?.reason}: ${end?.message}`);
    expect(end?.status === 'False' && end.reason === 'SourceLost', JSON.stringify(end));
    const made = request.status?.recovery?.restoreRequestName;
    expect(made !== undefined, 'the status names no RestoreRequest');
    const back = await waitUntilEnded(
      restore,
      { namespace, name: made, within: WITHIN_S },
      context.log,
    );
    expect(succeededCondition(back)?.status === 'True', JSON.stringify(succeededCondition(back)));
    const pod = back.status?.target?.podName ?? '';
    const seen = await until('the counter continues', { within: 60 }, async () => {
      const now = numbersIn(await podLog(namespace, pod));
      return now.length > 3 ? now : undefined;
    });
    expect(
      (seen[0] ?? 0) >= last,
      `it continues from ${seen[0]}, the newest checkpoint was at ${last}`,
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
    promise:
      'A source whose node is reset is restored from its newest checkpoint, if the request asks for it.',
    needs: ['shell', 'reset'],
    run: restoreNewest,
  },
];
