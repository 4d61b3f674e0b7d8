// SPDX-License-Identifier: Apache-2.0
// An application opens its device anew after each move, on nodes whose kernels give it different minors.
import { annotations } from '../../crds/src/index.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { move } from '../src/move.ts';
import { execInPod, IDLE, newAddress, podLog, startPod } from '../src/pods.ts';
import { until } from '../src/wait.ts';

/**
 * Opens the device by the pod's own shell when /tmp/go appears. Not all the time: while it enumerates devices, libibverbs
 * has a netlink socket open, and this case is not about dumping one.
 */
const REOPEN =
  'while :; do if rm /tmp/go 2>/dev/null; then ibv_devinfo > /tmp/out 2>&1; ' +
  'grep -q hca_id /tmp/out && echo opened || { echo failed; cat /tmp/out; }; fi; sleep 0.5; done';

/** Takes one connection of librdmacm's after another. */
const ACCEPT = 'while :; do timeout 30 ib_send_lat -R -F -n 5 >/dev/null 2>&1; done';

/** Connects by librdmacm. The server may be between two connections, and perftest stands still now and then (docs/hardening.md). */
const connect = (server: string): string =>
  `for i in 1 2 3 4 5 6; do timeout 15 ib_send_lat -R -F -n 5 ${server} > /tmp/cm 2>&1 && echo connected && break; sleep 1; done; cat /tmp/cm`;

/** The kernel's name of the pod's device, and the names in the container. */
const NAMES =
  'ls /sys/class/infiniband_verbs 2>/dev/null | tr "\\n" " "; ls -l /dev/infiniband | tr "\\n" ";"';

async function expectConnects({ namespace }: CaseContext, pod: string, to: string): Promise<void> {
  const said = await execInPod(namespace, pod, connect(to));
  expect(said.startsWith('connected'), `${pod} cannot connect by librdmacm: ${said}`);
}

async function expectOpens({ namespace, log }: CaseContext, pod: string): Promise<void> {
  log(`  ${pod}: ${(await execInPod(namespace, pod, NAMES)).trim()}`);
  const bySession = await execInPod(namespace, pod, 'ibv_devinfo 2>&1 || true');
  expect(bySession.includes('hca_id'), `ibv_devinfo finds no device in ${pod}: ${bySession}`);
  const before = (await podLog(namespace, pod)).length;
  await execInPod(namespace, pod, 'touch /tmp/go');
  const lines = await until('the pod opens its device', { within: 60 }, async () => {
    const said = (await podLog(namespace, pod)).slice(before).split('\n').filter(Boolean);
    return said.length > 0 ? said : undefined;
  });
  const failed = lines.filter((line) => !line.startsWith('opened'));
  expect(failed.length === 0, `the pod's own shell could not open it: ${failed.join('; ')}`);
}

/** @param connects whether the pod also connects to its neighbour by librdmacm */
async function reopen(context: CaseContext, connects: boolean): Promise<void> {
  const { namespace, nodes } = context;
  const neighbour = newAddress();
  const withCm = connects ? { [annotations.rdmaCm]: 'true' } : {};
  // Its device takes the first free minor of the second node, so that the moved pod's is another than on the first.
  await startPod({
    ...{ namespace, name: 'neighbour', node: nodes[1], address: neighbour, annotations: withCm },
    command: connects ? ['/bin/sh', '-c', ACCEPT] : IDLE,
  });
  await startPod({
    ...{ namespace, name: 'reopen', node: nodes[0], address: newAddress(), annotations: withCm },
    command: ['/bin/sh', '-c', REOPEN],
  });
  await expectOpens(context, 'reopen');
  if (connects) await expectConnects(context, 'reopen', neighbour);
  const numbers = new Set<string>();
  let pod = 'reopen';
  const NUMBER = 'stat -L -c %t:%T /dev/infiniband/uverbs* | sort -u | tail -1';
  numbers.add((await execInPod(namespace, pod, NUMBER)).trim());
  for (const to of [nodes[1], nodes[0], nodes[1]]) {
    const moved = await move({ namespace, pod, to, workload: 'reopen' }, context.log);
    context.results.moves.push(moved.entry);
    ({ pod } = moved);
    await expectOpens(context, pod);
    if (connects) await expectConnects(context, pod, neighbour);
    const here = (await execInPod(namespace, pod, NUMBER)).trim();
    numbers.add(here);
    const stale = await execInPod(
      namespace,
      pod,
      'stat -L -c %t:%T /dev/infiniband/uverbs* | sort -u | wc -l',
    );
    expect(stale.trim() === '1', `nodes of earlier moves are left in ${pod}`);
  }
  expect(numbers.size > 1, 'the minors of both nodes are the same: the case has tested nothing');
}

export const cases: readonly Case[] = [
  {
    name: 'reopen-device',
    promise: 'After each of three moves an application opens its RDMA device anew.',
    run: (context) => reopen(context, false),
  },
  {
    name: 'reconnect-rdma-cm',
    promise: 'After each of three moves an application connects by librdmacm.',
    run: (context) => reopen(context, true),
  },
];
