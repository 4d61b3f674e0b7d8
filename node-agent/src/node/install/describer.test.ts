// SPDX-License-Identifier: Apache-2.0
// Over real directories that stand for the node's root.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { Host } from '../host/host.ts';
import { inOne, NodeDescriber, type Questions } from './describer.ts';
import {
  driverProblemFile,
  noteProblem,
  programsProblem,
  programsProblemFile,
} from './problems.ts';

const MAIN = '/etc/containerd/config.toml';
const binary = '/opt/sealift/bin/sealift-runc';
let root = '';
const put = async (path: string, text = ''): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'describer-'));
  await put('/sys/fs/cgroup/cgroup.controllers');
  await put('/etc/cni/net.d/00-multus.conf', '{"type":"multus"}');
  await put(
    MAIN,
    `version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sealift.options]\n  BinaryName = '${binary}'\n`,
  );
});
afterEach(() => rm(root, { recursive: true }));

const describer = (own: Partial<Questions> = {}): NodeDescriber =>
  new NodeDescriber(
    {
      ...{ host: new Host({ root }), runDir: root, configured: true },
      ...{ handler: 'sealift', binary, restart: 'kubectl delete pod one' },
    },
    {
      runtimeVersion: async () => 'containerd://2.4.2',
      driverLoaded: () => true,
      loadedAbi: async () => 'rxe-10',
      checkNetnsMode: async () => undefined,
      nft: async () => '',
      containerd: async () => ({ mainFile: MAIN }),
      ...own,
    },
  );
const none = { driverLoaded: () => false };
const shared = {
  checkNetnsMode: () => Promise.reject(new AgentError('NetnsModeShared', 'shared.')),
};

it('says the ABI of a node that lacks nothing', async () => {
  expect(await describer().describe()).toEqual({ driverAbi: 'rxe-10', problem: undefined });
});

it.each<[string, () => Promise<unknown>, Partial<Questions>, string, string[]]>([
  [
    'another runtime, and no driver',
    async () => undefined,
    { ...none, runtimeVersion: async () => 'cri-o://1.35.0' },
    'RuntimeUnsupported',
    ['cri-o', 'DriverMissing'],
  ],
  [
    'no handler, no Multus, and no driver for its kernel',
    async () => {
      await rm(join(root, MAIN));
      await rm(join(root, '/etc/cni'), { recursive: true });
      const problem = { code: 'DriverMissing', message: 'kernel 6.1.' };
      await noteProblem(driverProblemFile(root), problem);
    },
    none,
    'HandlerMissing',
    ['kubectl delete pod one', 'DriverMissing: kernel 6.1.', 'MultusMissing'],
  ],
  [
    'cgroup v1, and InfiniBand in shared mode',
    () => rm(join(root, '/sys/fs/cgroup/cgroup.controllers')),
    shared,
    'CgroupV1',
    ['NetnsModeShared: shared.'],
  ],
  [
    'no nf_tables, and a driver of another version',
    () => noteProblem(driverProblemFile(root), { code: 'DriverOutdated', message: 'older.' }),
    { loadedAbi: async () => undefined, nft: () => Promise.reject(new Error('no netlink')) },
    'DriverOutdated',
    ['older.', 'NftablesMissing'],
  ],
  [
    'read-only system directories',
    async () => {
      const error = Object.assign(new Error('EROFS: /opt/sealift'), { code: 'EROFS' });
      await noteProblem(programsProblemFile(root), programsProblem(error));
    },
    none,
    'NodeReadOnly',
    ['/opt/sealift', 'DriverMissing'],
  ],
  [
    'an API server that does not say its runtime',
    async () => undefined,
    { ...none, runtimeVersion: () => Promise.reject(new Error('no answer')) },
    'Internal',
    ['no answer', 'DriverMissing'],
  ],
])('says all that a node lacks: %s', async (_, prepare, own, code, said) => {
  await prepare();
  const { driverAbi, problem } = await describer(own).describe();
  expect([driverAbi, problem?.code]).toEqual([undefined, code]);
  for (const one of said) expect(problem?.message).toContain(one);
});

it('keeps the ABI where Multus alone is missing, and says the one thing as it is', async () => {
  await rm(join(root, '/etc/cni'), { recursive: true });
  const { driverAbi, problem } = await describer().describe();
  expect([driverAbi, problem?.code]).toEqual(['rxe-10', 'MultusMissing']);
  expect(problem?.message).not.toContain('MultusMissing:');
});

it('makes a device for the ABI once while a driver is loaded, whatever else is missing', async () => {
  let asked = 0;
  let isLoaded = true;
  const one = describer({
    driverLoaded: () => isLoaded,
    loadedAbi: async () => `rxe-${++asked}`,
    runtimeVersion: async () => 'docker://28',
  });
  for (let n = 0; n < 3; n++) await one.describe();
  expect(asked).toBe(1);
  isLoaded = false;
  await one.describe();
  isLoaded = true;
  await one.describe();
  expect(asked).toBe(2);
});

it('has no sentence for nothing', () => expect(inOne([])).toBeUndefined());
