// SPDX-License-Identifier: Apache-2.0
// What a node lacks is said by name, on the Node object and on the agent's Lease, and goes when the node has it again.
import { annotations, labels } from '../../crds/src/index.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectUntouched } from '../src/checks.ts';
import { kubectlJson, onNode } from '../src/cluster.ts';
import { IDLE, startPod } from '../src/pods.ts';
import { until } from '../src/wait.ts';

/** The runtime and the agent take the first file by name: it stands before that of Multus on any node. */
const PLAIN = '/etc/cni/net.d/00-a-plain.conflist';
/** No pod is started while it is there. */
const plainConfig = JSON.stringify({
  cniVersion: '1.0.0',
  name: 'plain',
  plugins: [
    { type: 'ptp', ipam: { type: 'host-local', ranges: [[{ subnet: '10.254.254.0/24' }]] } },
  ],
});

interface Said {
  /** The labels of the node, and of its agent's Lease. */
  readonly reason: string | undefined;
  readonly leaseReason: string | undefined;
  readonly message: string;
  /** The node takes part in moves of pods with RDMA. */
  readonly abi: string | undefined;
}

interface Marked {
  metadata: { labels?: Record<string, string>; annotations?: Record<string, string> };
}

async function said(node: string): Promise<Said> {
  const { metadata } = (await kubectlJson('get', 'node', node)) as Marked;
  const lease = (await kubectlJson('-n', 'sealift', 'get', 'lease', `agent-${node}`)) as Marked;
  return {
    reason: metadata.labels?.[labels.problem],
    leaseReason: lease.metadata.labels?.[labels.problem],
    message: metadata.annotations?.[annotations.problem] ?? '',
    abi: metadata.labels?.[labels.driverAbi],
  };
}

/** The agent looks at its node each time that it renews its Lease. */
const LOOKS = { within: 120, every: 3 };

async function withoutMultus({ namespace, nodes, log }: CaseContext): Promise<void> {
  const [node, other] = nodes;
  const before = await said(node);
  expect(before.reason === undefined, `${node} has a problem already: ${before.message}`);
  const pod = await startPod({ namespace, name: 'bystander', node, command: IDLE });
  try {
    await onNode(node, `echo '${plainConfig}' >${PLAIN}.new && mv ${PLAIN}.new ${PLAIN}`);
    const now = await until('the node says what it lacks', LOOKS, async () => {
      const one = await said(node);
      return one.reason === undefined || one.leaseReason === undefined ? undefined : one;
    });
    log(`  ${node}: ${now.reason}: ${now.message}`);
    expect(now.reason === 'MultusMissing', `the node says ${now.reason}`);
    expect(now.leaseReason === 'MultusMissing', `the agent's Lease says ${now.leaseReason}`);
    expect(now.message.includes(PLAIN), `the sentence does not name ${PLAIN}: ${now.message}`);
    // Pods without RDMA can be moved still.
    expect(now.abi === before.abi, `the node's driver-abi is ${now.abi}, and was ${before.abi}`);
    expect((await said(other)).reason === undefined, `${other} says that it lacks something, too`);
    await expectUntouched(namespace, pod);
  } finally {
    await onNode(node, `rm -f ${PLAIN} ${PLAIN}.new`);
  }
  await until('the node says that it lacks nothing', LOOKS, async () => {
    const one = await said(node);
    return one.reason === undefined && one.leaseReason === undefined && one.message === ''
      ? true
      : undefined;
  });
  await expectUntouched(namespace, pod);
}

export const cases: readonly Case[] = [
  {
    name: 'node-problem-multus',
    promise:
      'A node whose CNI configuration is no longer of Multus says MultusMissing on its Node object and on the Lease of its agent, ' +
      'and no other node does; its pods run on; it says nothing any more when Multus is back.',
    needs: ['shell'],
    run: withoutMultus,
  },
];
