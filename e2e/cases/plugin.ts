// SPDX-License-Identifier: Apache-2.0
// kubectl sealift, as a user calls it: it explains, moves and draws a timeline.
import { MigrationRequest } from '../../crds/src/index.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { kubectlJson } from '../src/cluster.ts';
import { run } from '../src/command.ts';
import { execInPod, IDLE, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import { until } from '../src/wait.ts';

/** The exit code is a line of the output. */
const WITH_CODE = '"$@" 2>&1; echo "exit $?"';

function plugin(context: CaseContext, ...args: string[]): Promise<string> {
  const { kubeconfig } = provider.tools;
  const program = [process.execPath, 'kubectl-plugin/src/main.ts', ...args];
  return run('bash', ['-c', WITH_CODE, 'plugin', ...program, '-n', context.namespace], {
    env: kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig },
    timeoutMs: 600_000 * provider.slowness,
  });
}

/** A process that keeps a file open by a name that is gone, while the file has another one. CRIU cannot dump it. */
const holds = (name: string): string =>
  `exec 4>/tmp/${name}; ln /tmp/${name} /tmp/${name}-2; rm /tmp/${name}; while :; do sleep 1; done`;

async function explains(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const line = `sh -c '${holds('one')}' & ${holds('two')}`;
  const command = ['/bin/sh', '-c', line];
  await startPod({ namespace, name: 'stuck', node: nodes[0], command });
  await until('both processes have their file', { within: 60 }, async () =>
    (await execInPod(namespace, 'stuck', 'ls /tmp/one-2 /tmp/two-2 | wc -l')).trim() === '2'
      ? true
      : undefined,
  );
  const answer = await plugin(context, 'explain', 'stuck');
  context.log(answer);
  expect(answer.trimEnd().endsWith('exit 1'), 'a pod that cannot be moved ends with 1');
  for (const file of ['/tmp/one', '/tmp/two'])
    expect(answer.includes(`has ${file} open`), `explain does not name ${file}`);
  const { items } = (await kubectlJson('-n', namespace, 'get', 'mreq,pods')) as {
    items: { kind: string }[];
  };
  const left = items.map(({ kind }) => kind).join(' ');
  expect(left === 'Pod', `after a dry run there is more than its pod: ${left}`);
}

async function moves(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({ namespace, name: 'free', node: nodes[0], command: IDLE });
  const explained = await plugin(context, 'explain', 'free', '--to', nodes[1]);
  expect(explained.includes(`can be moved to node ${nodes[1]}`), explained);
  const moved = await plugin(context, 'migrate', 'free', '--to', nodes[1], '--wait');
  context.log(moved);
  expect(moved.trimEnd().endsWith('exit 0'), 'the move did not succeed');
  expect(/blackout [\d.]+ m?s/.test(moved), 'the blackout is not told');
  const { items } = (await kubectlJson('-n', namespace, 'get', 'mreq')) as { items: unknown[] };
  const name = MigrationRequest.parse(items[0]).metadata.name;
  const traced = await plugin(context, 'trace', name, '-f', '-');
  expect(traced.includes('"name":"dump"'), 'the timeline has no dump');
  const status = await plugin(context, 'status', name);
  expect(/\* transfer +[\d.]+ m?s/.test(status), `the status has no transfer: ${status}`);
}

async function examines(context: CaseContext): Promise<void> {
  const found = await plugin(context, 'doctor');
  context.log(found);
  for (const check of ['driver', 'runtime handler', 'agent', 'clock'])
    expect(new RegExp(`^ok +${check} +`, 'm').test(found), `no node is in order as to ${check}`);
}

export const cases: readonly Case[] = [
  {
    name: 'plugin',
    promise:
      'kubectl sealift names everything that is in the way of a move, moves a pod, and finds a healthy cluster healthy.',
    run: async (context) => {
      await explains(context);
      await moves(context);
      await examines(context);
    },
  },
];
