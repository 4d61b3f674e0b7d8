// SPDX-License-Identifier: Apache-2.0
// Open files and sockets that CRIU dumps only if it is told to, and those that it cannot dump.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectMoveFails } from '../src/checks.ts';
import { move } from '../src/move.ts';
import { execInPod, IDLE, newAddress, podLog, startPod } from '../src/pods.ts';
import { until } from '../src/wait.ts';

/** Descriptor 4 is a deleted file of 3 MiB, of which the shell prints a part. */
const DELETED =
  'exec 4<>/tmp/gone; head -c 3145728 /dev/zero >&4; echo the-end >&4; rm /tmp/gone; ' +
  'while :; do tail -c 8 /proc/self/fd/4; sleep 1; done';

async function deletedFile(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const command = ['/bin/sh', '-c', DELETED];
  await startPod({ namespace, name: 'deleted', node: nodes[0], command });
  const { pod } = await move(
    { namespace, pod: 'deleted', to: nodes[1], workload: 'deleted file' },
    context.log,
  );
  await until('the moved pod reads its deleted file', { within: 60 }, async () =>
    (await podLog(namespace, pod)).includes('the-end') ? true : undefined,
  );
}

async function removedName(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const line = 'exec 4>/tmp/a; ln /tmp/a /tmp/b; rm /tmp/a; while :; do sleep 1; done';
  await startPod({ namespace, name: 'linked', node: nodes[0], command: ['/bin/sh', '-c', line] });
  await expectMoveFails(context, { pod: 'linked', to: nodes[1], reason: 'UnsupportedObject' });
}

/** nc may listen on an IPv6 socket that takes IPv4 too: both tables are read. */
const SOCKETS = 'cat /proc/net/tcp /proc/net/tcp6';

/** How many sockets listen on port 7000. */
const LISTENING = `${SOCKETS} | grep -c ":1B58 .* 0A " || true`;

/** How many sockets are connected to port 7000 or from it. */
const CONNECTED = `${SOCKETS} | grep -c ":1B58 .* 01 " || true`;

async function unaccepted(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const address = newAddress();
  // A server that was stopped before it accepts: the kernel makes the connection without it.
  const line =
    `nc -l -p 7000 & until [ $(${LISTENING}) -gt 0 ]; do sleep 0.2; done; kill -STOP $!; ` +
    'echo stopped >/tmp/server; while :; do sleep 1; done';
  await startPod({
    ...{ namespace, name: 'busy', node: nodes[0], address },
    command: ['/bin/sh', '-c', line],
  });
  await until('the server is stopped', { within: 60 }, async () =>
    (await execInPod(namespace, 'busy', 'cat /tmp/server 2>/dev/null || true')) ? true : undefined,
  );
  await startPod({
    ...{ namespace, name: 'client', node: nodes[1], address: newAddress() },
    // It keeps its end open.
    command: ['/bin/sh', '-c', `tail -f /dev/null | nc ${address} 7000; ${IDLE[2] ?? ''}`],
  });
  await until('a connection waits to be accepted', { within: 60 }, async () =>
    Number(await execInPod(namespace, 'busy', CONNECTED)) > 0 ? true : undefined,
  );
  const { pod } = await move(
    { namespace, pod: 'busy', to: nodes[1], workload: 'unaccepted' },
    context.log,
  );
  const left = await execInPod(namespace, pod, CONNECTED);
  expect(Number(left) === 0, `the connection that nobody had accepted is there: ${left}`);
}

export const cases: readonly Case[] = [
  {
    name: 'files-deleted',
    promise: 'A pod moves with an open file of 3 MiB that was deleted.',
    run: deletedFile,
  },
  {
    name: 'files-removed-name',
    promise: 'A pod with an open file that has lost the name it was opened by is refused by name.',
    run: removedName,
  },
  {
    name: 'files-unaccepted',
    promise: 'A pod moves with a TCP connection that it has not accepted; only that one is lost.',
    run: unaccepted,
  },
];
