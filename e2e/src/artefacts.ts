// SPDX-License-Identifier: Apache-2.0
// Collects what helps to find out why a case has failed.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kubectl, onNode, readyNodes } from './cluster.ts';
import { provider } from './provider/choice.ts';

/** Prints the agent's journal and CRIU's logs of a node. */
const AGENT_FILES_SCRIPT = `
find /var/lib/sealift -name '*.log' -newermt '-20 min' 2>/dev/null | while read -r f; do echo "== $f"; tail -n 300 "$f"; done
for f in /var/lib/sealift/journal/*; do [ -f "$f" ] && { echo "== $f"; cat "$f"; echo; }; done
`;
/** Prints kernel messages, network namespaces, queue pairs, memory regions and rules of a node. */
const KERNEL_STATE_SCRIPT = `
dmesg | tail -n 300
for p in $(ls /proc | grep -E '^[0-9]+$'); do readlink /proc/$p/ns/net 2>/dev/null; done | sort | uniq -c
for p in $(pgrep -f 'ledger |ib_' ); do echo "== pid $p $(tr '\\0' ' ' < /proc/$p/cmdline)"; nsenter -t $p -n sh -c 'rdma res show qp; rdma res show mr; nft list ruleset; ip -br addr'; done 2>&1
`;

/** Collects into `dir`. Never throws: an error here must not hide the failure of the case. */
export async function collectArtefacts(dir: string, namespaces: readonly string[]): Promise<void> {
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
    await save(`${node}-sealift.txt`, () => onNode(node, AGENT_FILES_SCRIPT));
    await save(`${node}-kernel.txt`, () => onNode(node, KERNEL_STATE_SCRIPT));
    // A kernel that has crashed and booted again says why only there.
    await save(`${node}-console.txt`, async () => (await provider.console?.(node)) ?? '');
    await save(`${node}-journal.txt`, () =>
      onNode(node, 'journalctl -b --no-pager -o short-precise -u kubelet -u containerd -n 400'),
    );
  }
}
