// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RdmaDevice, RxeObject } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import { sizeBelow } from '../files/size.ts';
import { Host } from '../host/host.ts';
import type { Container } from '../runtime/containers.ts';
import { PodInspector, type InspectedPod, type PodInspectorParts } from './pod-inspector.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-inspector-'));
  await mkdir(join(dir, 'proc/1'), { recursive: true });
  await mkdir(join(dir, 'cg'));
  await writeFile(join(dir, 'cg/memory.stat'), 'anon 4096\nfile 999\nshmem 100\nshmem_thp 5\n');
  await mkdir(join(dir, 'upper/deep'), { recursive: true });
  await writeFile(join(dir, 'upper/deep/file'), 'x'.repeat(300));
});
afterEach(() => rm(dir, { recursive: true }));

const main = {
  ...{ id: 'c1', name: 'main', podUid: 'u', sandboxId: 's', bundle: '/bundle' },
  ...{ netns: '/run/netns/x', cgroup: '/cg' },
} as unknown as Container;
const refused = (message: string): AgentError => new AgentError('UnsupportedObject', message);

/** The checks of a node that finds these. */
function inspector(
  found: Partial<
    Record<
      'exec' | 'unmovable' | 'links' | 'clusterSockets' | 'deviceObjects' | 'addresses',
      AgentError[]
    >
  >,
  parts: Partial<PodInspectorParts> = {},
  here = [main],
): PodInspector {
  const yields = (name: keyof typeof found) => ({
    async *findings() {
      yield* found[name] ?? [];
    },
  });
  const objects = [
    { kind: 'qp', number: 1 },
    ...[17, 18].map((number) => ({ kind: 'qp', number, context: 1 })),
    { kind: 'mr', number: 3, context: 1 },
    { kind: 'context', number: 1, context: 1 },
  ] as RxeObject[];
  const host = new Host({ root: dir });
  host.mountinfo = async () => '1 1 0:1 / /bundle/rootfs rw - overlay o rw,upperdir=/upper';
  const made = new (class extends PodInspector {
    protected override async containers(): Promise<Container[]> {
      return here;
    }
  })({
    host,
    driver: { devices: async () => [{ name: 'rxe0' } as RdmaDevice], objects: async () => objects },
    exec: yields('exec'),
    unmovable: yields('unmovable'),
    links: yields('links'),
    clusterSockets: {
      ...yields('clusterSockets'),
      lost: async () => 3,
    },
    addresses: { read: async () => ({ digest: '', interfaces: [] }) },
    deviceObjects: {
      ...yields('deviceObjects'),
      addressFindings: () => yields('addresses').findings(),
      firstPeerToGiveUp: async () => undefined,
    },
    ...parts,
  });
  return made;
}
const pod: InspectedPod = {
  connections: 'Refuse',
  ...{ podUid: 'u', names: ['main'], clusterAddresses: [], isGiven: () => true },
  checkPeers: async (): Promise<void> => undefined,
  ...{ bandwidth: undefined, checkBandwidth: () => undefined },
};

describe('a pod inspector', () => {
  it('counts what would be moved', async () => {
    expect(await inspector({}).inspect(pod)).toEqual({
      findings: [],
      objects: { qp: 2, cq: 0, mr: 1, srq: 0, ah: 0 },
      bytes: { pages: 4196, rootfs: 300 },
    });
  });

  it('counts the connections that the move would end, where it may', async () => {
    const clusterAddresses = ['10.1.2.3'];
    const asked = { ...pod, clusterAddresses, connections: 'Reset' as const };
    expect((await inspector({}).inspect(asked)).lostConnections).toBe(3);
    expect(await inspector({}).inspect({ ...pod, clusterAddresses })).not.toHaveProperty(
      'lostConnections',
    );
    expect(await inspector({}).inspect({ ...asked, clusterAddresses: [] })).not.toHaveProperty(
      'lostConnections',
    );
  });

  it('names peers that retry too short', async () => {
    const checkPeers = async (_pairs: unknown, _netns: string, bytes: number): Promise<void> => {
      throw new AgentError('PeerRetryBudgetTooShort', `queue pair 17, ${bytes} bytes`);
    };
    // What several pods share counts for nobody.
    expect((await inspector({}).inspect({ ...pod, checkPeers })).findings).toEqual([
      { reason: 'PeerRetryBudgetTooShort', message: 'queue pair 17, 4096 bytes' },
    ]);
  });

  it('says how long the policy’s bandwidth makes it take, and whether that is too long', async () => {
    const bandwidth = { bytesPerSecond: 1000, text: '1k/s' };
    const told: number[] = [];
    const checkPeers = async (_pairs: unknown, _netns: string, bytes: number): Promise<void> =>
      void told.push(bytes);
    const checkBandwidth = (bytes: number): void => {
      throw new AgentError('BandwidthTooLow', `${bytes} bytes`);
    };
    const asked = { ...pod, bandwidth, checkPeers, checkBandwidth };
    expect(await inspector({}).inspect(asked)).toMatchObject({
      findings: [{ reason: 'BandwidthTooLow', message: '4396 bytes' }],
      bytes: { pages: 4196, rootfs: 300 },
      sendingMs: 4496,
    });
    expect(told, 'files count for the peers too').toEqual([4396]);
  });

  it('goes on after a finding: every check has its say', async () => {
    const found = inspector({
      deviceObjects: [refused('a memory window'), refused('an XRC queue pair')],
      addresses: [refused('an address that no target has')],
      exec: [new AgentError('ExecSessionOpen', 'a shell')],
      unmovable: [refused('io_uring')],
      links: [refused('a pipe of two containers')],
      clusterSockets: [refused('a socket')],
    });
    const { findings } = await found.inspect({ ...pod, names: ['main', 'side'] });
    expect(findings.map(({ reason, message }) => `${reason}: ${message}`)).toEqual([
      expect.stringMatching(/^ContainerNotRunning: Container side/),
      'UnsupportedObject: a memory window',
      'UnsupportedObject: an XRC queue pair',
      'UnsupportedObject: an address that no target has',
      'ExecSessionOpen: a shell',
      'UnsupportedObject: io_uring',
      'UnsupportedObject: a pipe of two containers',
      'UnsupportedObject: a socket',
    ]);
  });

  it('takes an error of a check for a finding, and goes on', async () => {
    const broken = {
      async *findings(): AsyncGenerator<AgentError> {
        throw new AgentError('DriverMissing', 'no driver');
      },
      async *addressFindings(): AsyncGenerator<AgentError> {},
      firstPeerToGiveUp: async () => undefined,
    };
    const found = inspector({ unmovable: [refused('io_uring')] }, { deviceObjects: broken });
    const { findings } = await found.inspect(pod);
    expect(findings.map(({ reason }) => reason)).toEqual(['DriverMissing', 'UnsupportedObject']);
  });

  it('does not take an error of the node for a finding', async () => {
    const driver = {
      devices: () => Promise.reject(new Error('EIO')),
      objects: async () => [],
    };
    await expect(inspector({}, { driver }).inspect(pod)).rejects.toThrow('EIO');
  });

  it('names each finding once, and no more than a user reads', async () => {
    const many = Array.from({ length: 100 }, (_, n) => refused(`object ${n >> 1}`));
    const { findings } = await inspector({ unmovable: many }).inspect(pod);
    expect(findings).toHaveLength(50);
    const more = Array.from({ length: 100 }, (_, n) => refused(`object ${n}`));
    expect((await inspector({ unmovable: more }).inspect(pod)).findings).toHaveLength(64);
  });

  it('says that no container runs', async () => {
    const { findings } = await inspector({}, {}, []).inspect(pod);
    expect(findings).toMatchObject([{ reason: 'PodNotFound' }]);
  });
});

it('the size of a directory with very many files is not counted', async () => {
  expect(await sizeBelow([join(dir, 'upper'), join(dir, 'none')])).toBe(300);
  expect(await sizeBelow([join(dir, 'upper')], 1)).toBeUndefined();
});
