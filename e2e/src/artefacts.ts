// SPDX-License-Identifier: Apache-2.0
// What somebody needs to find out why a case failed.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kubectl, onNode, readyNodes } from './lab.ts';

/** On a node: the agent's journals and CRIU's logs, then the kernel's view. */
const NODE_LOOK = `
find /var/lib/sealift -name '*.log' -newermt '-20 min' 2>/dev/null | while read -r f; do echo "== $f"; tail -n 300 "$f"; done
for f in /var/lib/sealift/journal/*; do [ -f "$f" ] && { echo "== $f"; cat "$f"; echo; }; done
`;
const KERNEL_LOOK = `
dmesg | tail -n 300
for p in $(ls /proc | grep -E '^[0-9]+$'); do readlink /proc/$p/ns/net 2>/dev/null; done | sort | uniq -c
for p in $(pgrep -f 'ledger |ib_' ); do echo "== pid $p $(tr '\\0' ' ' < /proc/$p/cmdline)"; nsenter -t $p -n sh -c 'rdma res show qp; rdma res show mr; nft list ruleset; ip -br addr'; done 2>&1
`;

/** Collects into `dir`; never throws: the failure itself must be seen. */
export async function collect(dir: string, namespaces: readonly string[]): Promise<void> {
  await mkdir(dir, { recursive: true });
  const save = async (name: string, get: () => Promise<string>): Promise<void> => {
    const text = await get().catch((error: unknown) => `not collected: ${String(error)}\n`);
    await writeFile(join(dir, name), text);
  };
  for (const namespace of namespaces) {
    await save(`${namespace}-objects.yaml`, () =>
      kubectl('-n', namespace, 'get', 'mreq,creq,rreq,pods,events', '-o', 'yaml'),
    );
    await save(`${namespace}-pods.txt`, () =>
      kubectl('-n', namespace, 'describe', 'pods,mreq,creq,rreq'),
    );
    const pods = await kubectl('-n', namespace, 'get', 'pods', '-o', 'name').catch(() => '');
    for (const pod of pods.split('\n').filter(Boolean))
      await save(`${pod.replace('pod/', 'log-')}.txt`, () =>
        kubectl('-n', namespace, 'logs', pod, '--all-containers', '--tail=500'),
      );
  }
  const parts = await kubectl('-n', 'sealift', 'get', 'pods', '-o', 'name').catch(() => '');
  for (const pod of parts.split('\n').filter(Boolean))
    await save(`${pod.replace('pod/', '')}.txt`, () =>
      kubectl('-n', 'sealift', 'logs', pod, '--all-containers', '--tail=3000'),
    );
  for (const node of await readyNodes().catch(() => [])) {
    await save(`${node}-sealift.txt`, () => onNode(node, NODE_LOOK));
    await save(`${node}-kernel.txt`, () => onNode(node, KERNEL_LOOK));
    await save(`${node}-journal.txt`, () =>
      onNode(node, 'journalctl -b --no-pager -o short-precise -u kubelet -u containerd -n 400'),
    );
  }
}
