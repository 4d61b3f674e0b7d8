// SPDX-License-Identifier: Apache-2.0
// Checkpoints and restores: a checkpoint leaves the pod running, and a new pod is restored from it unless it is damaged.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { numbersIn, expectUntouched, expectContinues } from '../src/checks.ts';
import { kubectl, kubectlJson, onNode } from '../src/cluster.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { waitUntilPodEnded, podLog, podNames, podStatus, startPod } from '../src/pods.ts';
import {
  checkpoint,
  createRequest,
  readRequest,
  waitUntilEnded,
  restore,
  succeededCondition,
} from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Takes a checkpoint of a pod. The pod must be untouched. */
async function takeCheckpoint(
  context: CaseContext,
  pod: string,
  name: string,
): Promise<{ location: string }> {
  const { namespace } = context;
  const before = await podStatus(namespace, pod);
  await createRequest(checkpoint, namespace, name, { podName: pod });
  const request = await waitUntilEnded(checkpoint, { namespace, name }, context.log);
  const end = succeededCondition(request);
  expect(end?.status === 'True', `the checkpoint failed: ${end?.reason}: ${end?.message}`);
  await expectUntouched(namespace, before);
  const location = request.status?.location;
  expect(location !== undefined, 'the status has no location of the images');
  return { location };
}

/** Restores a pod. @param reason for which it must fail. Absent: it must succeed */
async function restoreFrom(
  context: CaseContext,
  name: string,
  spec: { checkpointName: string; podName: string; targetNodeName: string },
  reason?: string,
): Promise<void> {
  const { namespace } = context;
  await createRequest(restore, namespace, name, spec);
  const end = succeededCondition(await waitUntilEnded(restore, { namespace, name }, context.log));
  context.log(`  ${name}: ${end?.reason}: ${end?.message}`);
  if (reason === undefined) {
    expect(end?.status === 'True', `the restore failed: ${end?.reason}: ${end?.message}`);
    return;
  }
  expect(end?.status === 'False', `the restore did not fail: ${JSON.stringify(end)}`);
  expect(end.reason === reason, `reason ${end.reason} (${end.message}), not ${reason}`);
  await until('the new pod is gone', { within: 90 }, async () =>
    (await podNames(namespace)).includes(spec.podName) ? undefined : true,
  );
}

async function checkpointLedger(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 300);
  await takeCheckpoint(context, pair.pods.client, 'running');
  await expectContinues(context, pair, 300);

  // The pair has ended. The restored client has a peer that does not know its queue pairs any more.
  await kubectl('-n', context.namespace, 'delete', 'pod', pair.pods.client, '--timeout=90s');
  await restoreFrom(context, 'again', {
    checkpointName: 'running',
    podName: 'again',
    targetNodeName: context.nodes[0],
  });
  const end = await waitUntilPodEnded(context.namespace, 'again', 120);
  const log = await podLog(context.namespace, 'again');
  expect(end.exitCode !== 0, `the restored application ended with ${end.exitCode}`);
  expect(
    /completion of work .*(flush|error)/i.test(log),
    `the application has seen no verbs error:\n${log.slice(-1500)}`,
  );
}

async function startCounter(context: CaseContext, name: string): Promise<void> {
  const line = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done';
  const { namespace } = context;
  await startPod({ namespace, name, node: context.nodes[0], command: ['/bin/sh', '-c', line] });
  await waitForCount(context, name, 5);
}

/** Waits until the numbers in the pod's log exceed `beyond`. @returns all numbers */
async function waitForCount(context: CaseContext, pod: string, beyond: number): Promise<number[]> {
  return until(`${pod} counts beyond ${beyond}`, { within: 60 }, async () => {
    const seen = numbersIn(await podLog(context.namespace, pod));
    return (seen.at(-1) ?? -1) > beyond ? seen : undefined;
  });
}

async function restoreBeside(context: CaseContext): Promise<void> {
  await startCounter(context, 'counter');
  await takeCheckpoint(context, 'counter', 'early');
  const left = (await waitForCount(context, 'counter', 10)).at(-1) ?? 0;
  await restoreFrom(context, 'copy', {
    checkpointName: 'early',
    podName: 'copy',
    targetNodeName: context.nodes[1],
  });
  const copy = await waitForCount(context, 'copy', 5);
  const [first = 0] = copy;
  expect(first > 3 && first <= left, `the copy began at ${first}, the original was at ${left}`);
  expect(
    copy.every((n, i) => i === 0 || n === (copy[i - 1] ?? 0) + 1),
    `the copy's numbers have gaps: ${copy.join(' ')}`,
  );
  const original = await waitForCount(context, 'counter', left);
  expect(
    original.every((n, i) => n === i),
    'the original pod has missed numbers',
  );
}

/** Ways to damage the images of a checkpoint, and the reason for which each restore must fail. */
const damages = [
  {
    name: 'truncated',
    reason: 'ImageTruncated',
    line: 'truncate -s -100 "$(ls main/pages-*.img* | head -1)"',
  },
  {
    name: 'altered',
    reason: 'ImageCorrupt',
    line: 'printf Z | dd of="$(ls main/pages-*.img* | head -1)" bs=1 seek=5000 conv=notrunc status=none',
  },
  {
    name: 'version',
    reason: 'ImageVersion',
    line: `sed -i 's/"version": 1/"version": 99/' manifest.json`,
  },
] as const;

async function damagedImages(context: CaseContext): Promise<void> {
  await startCounter(context, 'counter');
  const { location } = await takeCheckpoint(context, 'counter', 'kept');
  const [node = '', directory = ''] = location.split(/:(.*)/);
  for (const [n, { name, reason, line }] of damages.entries()) {
    await onNode(node, `cp -a ${directory} ${directory}.whole && cd ${directory} && ${line}`);
    try {
      // The other node checks images when it receives them; the same node checks those on its disk.
      const targetNodeName = n === 1 ? context.nodes[0] : context.nodes[1];
      const spec = { checkpointName: 'kept', podName: `copy-${name}`, targetNodeName };
      await restoreFrom(context, `from-${name}`, spec, reason);
    } finally {
      await onNode(node, `rm -rf ${directory} && mv ${directory}.whole ${directory}`);
    }
  }
  const status = await podStatus(context.namespace, 'counter');
  expect(status.ready && status.restarts === 0, `the pod was touched: ${JSON.stringify(status)}`);
}

/** In the memory of the counter: its own program. */
const MARKER = 'echo $i; i=$((i+1))';

/** The keys of stored images, in base64: the chart's Secret, in the namespace that e2e installs Sealift into. */
async function imageKeys(): Promise<Record<string, string>> {
  const secret = await kubectlJson('-n', 'sealift', 'get', 'secret', 'sealift-image-keys');
  return (secret as { data?: Record<string, string> }).data ?? {};
}

async function changeImageKeys(data: Record<string, string | null>): Promise<void> {
  const patch = ['--type=merge', '-p', JSON.stringify({ data })];
  await kubectl('-n', 'sealift', 'patch', 'secret', 'sealift-image-keys', ...patch);
}

/** Waits until the condition `Restorable` has this reason; undefined: until it is gone. The kubelet brings keys to nodes. */
async function waitForRestorable(namespace: string, name: string, reason?: string): Promise<void> {
  let looks = 0;
  await until(`Restorable is ${reason}`, { within: 240, every: 5 }, async () => {
    // The agent looks at once when the request changes, and every few minutes otherwise.
    const mark = `e2e/looks=${++looks}`;
    await kubectl('-n', namespace, 'annotate', '--overwrite', 'creq', name, mark);
    const { status } = await readRequest(checkpoint, namespace, name);
    const found = status?.conditions?.find(({ type }) => type === 'Restorable');
    return found?.reason === reason ? true : undefined;
  });
}

async function encryptedImages(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startCounter(context, 'counter');
  const { location } = await takeCheckpoint(context, 'counter', 'kept');
  const [node = '', directory = ''] = location.split(/:(.*)/);
  const files = await onNode(node, `cd ${directory} && find . -type f | sort`);
  expect(/pages-\d+\.img\.enc/.test(files), `no encrypted pages:\n${files}`);
  const plain = files.split('\n').filter((name) => /\.(img|tar)$/.test(name));
  expect(plain.length === 0, `plain images are left: ${plain.join(' ')}`);
  const shown = await onNode(node, `grep -rlaF '${MARKER}' ${directory} || true`);
  expect(shown.trim() === '', `the images show the memory of the pod: ${shown}`);

  const again = (podName: string) => ({
    checkpointName: 'kept',
    podName,
    targetNodeName: nodes[0],
  });
  await restoreFrom(context, 'same-node', again('copy'));
  await waitForCount(context, 'copy', 5);
  const { uid } = (await readRequest(restore, namespace, 'same-node')).metadata;
  const decrypted = `${directory.replace(/\/[^/]+$/, '')}/${uid}`;
  await until('what was decrypted is gone', { within: 60 }, async () =>
    (await onNode(node, `ls -d ${decrypted} 2>/dev/null || true`)).trim() === '' ? true : undefined,
  );

  const keys = await imageKeys();
  await changeImageKeys(Object.fromEntries(Object.keys(keys).map((id) => [id, null])));
  try {
    await waitForRestorable(namespace, 'kept', 'ImageKeyMissing');
    await restoreFrom(context, 'without-key', again('nothing'), 'ImageKeyMissing');
  } finally {
    await changeImageKeys(keys);
  }
  await waitForRestorable(namespace, 'kept');
  await restoreFrom(context, 'with-key', again('copy-2'));
}

export const cases: readonly Case[] = [
  {
    name: 'checkpoint-ledger',
    promise: 'A checkpoint leaves the ledger running. A pod restored from it gets a verbs error.',
    inTest: true,
    run: checkpointLedger,
  },
  {
    name: 'restore-beside',
    promise:
      'A pod that is restored from a checkpoint on the other node runs beside the original pod.',
    run: restoreBeside,
  },
  {
    name: 'checkpoint-encrypted',
    promise:
      'A checkpoint shows nothing of the pod’s memory on the disk, is restored on its own node, and not without its key.',
    needs: ['shell'],
    run: encryptedImages,
  },
  {
    name: 'bad-image',
    promise: 'Truncated images, altered images and images of another version are refused.',
    needs: ['shell'],
    run: damagedImages,
  },
];
