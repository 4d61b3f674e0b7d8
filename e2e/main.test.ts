// SPDX-License-Identifier: Apache-2.0
// The suite on somebody's cluster, whose API server is a script in the place of kubectl. There is no helm.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Report } from './src/report.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'e2e-main-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const node = (name: string): object => ({
  metadata: { name, labels: { 'sealift.dev/driver-abi': 'rxe-11' } },
  spec: {},
  status: {
    nodeInfo: {
      kernelVersion: '6.12.1',
      containerRuntimeVersion: 'containerd://2.4.2',
      kubeletVersion: 'v1.35.4',
    },
    conditions: [{ type: 'Ready', status: 'True' }],
  },
});

/** Runs `e2e/main.ts` with these cases. kubectl knows the nodes and an agent that is ready, and refuses all else. */
function suite(names: string, nodes: readonly string[]) {
  const agents = {
    metadata: { name: 'sealift-agent', generation: 1 },
    spec: {},
    status: {
      ...{ observedGeneration: 1, desiredNumberScheduled: 2 },
      ...{ updatedNumberScheduled: 2, numberReady: 2 },
    },
  };
  writeFileSync(
    join(dir, 'kubectl'),
    `#!/bin/sh
case "$*" in
'get nodes '*) echo '${JSON.stringify({ items: nodes.map(node) })}' ;;
'-n sealift get deployments,daemonsets '*) echo '${JSON.stringify({ items: [agents] })}' ;;
*) echo "not expected: $*" >&2; exit 1 ;;
esac
`,
  );
  chmodSync(join(dir, 'kubectl'), 0o755);
  return spawnSync(process.execPath, [new URL('main.ts', import.meta.url).pathname], {
    cwd: dir,
    encoding: 'utf8',
    env: { PATH: dir, PROVIDER: 'none', KUBECONFIG: join(dir, 'config'), CASE: names },
  });
}

test('names each case that the cluster cannot play, with the reason, in output and report', () => {
  const done = suite('uninstall-leaves-nothing,peer-outside', ['a', 'b']);
  expect([done.status, done.stderr]).toEqual([0, '']);
  expect(done.stdout).toContain('SKIPPED uninstall-leaves-nothing: provider none cannot');
  expect(done.stdout).toContain('0 passed, 0 failed, 2 skipped');
  const { cases, versions } = Report.parse(
    JSON.parse(readFileSync(join(dir, 'build/e2e-none/report.json'), 'utf8')),
  );
  const reasons = new Map(cases?.map((one) => [one.name, one]));
  expect([...reasons.keys()].sort()).toEqual(['peer-outside', 'uninstall-leaves-nothing']);
  expect(reasons.get('uninstall-leaves-nothing')).toMatchObject({
    status: 'skipped',
    reason:
      'provider none cannot run a command on a node; provider none cannot install and uninstall Sealift.',
  });
  expect(versions).toMatchObject({
    ...{ kernel: '6.12.1', containerd: '2.4.2', kubernetes: '1.35.4' },
    ...{ criu: 'unknown', runc: 'unknown', sealift: 'unknown' },
  });
});

test('a case that it can play, and that fails, fails the run', () => {
  const done = suite('bad-unknown-pod,uninstall-leaves-nothing', ['a', 'b']);
  expect(done.status).toBe(1);
  expect(done.stdout).toContain('FAILED bad-unknown-pod: ');
  expect(done.stdout).toContain('0 passed, 1 failed, 1 skipped');
});

test('says what it needs where fewer than two nodes take part', () => {
  const done = suite('bad-unknown-pod', ['a']);
  expect(done.status).toBe(2);
  expect(done.stderr).toContain('sealift.dev/driver-abi');
});
