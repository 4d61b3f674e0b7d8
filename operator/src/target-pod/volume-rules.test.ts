// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { NOW, pod } from '../../testing/objects.ts';
import { refusePod } from './pod-rules.ts';
import { sharedHostPathsFrom } from './shared-host-paths.ts';
import { sharedVolumeRefusals, type Claim, type VolumeFacts } from './volume-rules.ts';

const claim = (accessModes: string[], more: Partial<Claim> = {}): Claim => ({
  ...{ accessModes, volumeMode: 'Filesystem', volume: { name: 'pv', kind: 'nfs' } },
  ...more,
});

const facts = (claims: Record<string, Claim> = {}): VolumeFacts => ({
  claims: new Map(Object.entries(claims)),
  sharedHostPaths: ['/scratch', '/data/shared/'],
});

const messageOf = (volume: object, volumes = facts()): string | undefined =>
  refusePod(pod({ spec: { volumes: [{ name: 'v', ...volume }] } }), 'p', NOW, { volumes })?.message;

const claimed = (one: Claim, more: object = {}): string | undefined =>
  messageOf({ persistentVolumeClaim: { claimName: 'c', ...more } }, facts({ c: one }));

describe('volumes that move', () => {
  it.each<[string, object]>([
    ['an emptyDir', { emptyDir: {} }],
    ['memory as a volume', { emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } }],
    ['what is published from the API', { projected: { sources: [] } }],
    ['a volume that each node mounts from the same server', { nfs: { server: 's', path: '/' } }],
    ['a listed path', { hostPath: { path: '/scratch' } }],
    ['a path below a listed one', { hostPath: { path: '/data/shared/job/', type: 'Directory' } }],
  ])('%s', (_what, volume) => {
    expect(messageOf(volume)).toBeUndefined();
  });

  it.each<[string, Claim, object]>([
    ['ReadWriteMany', claim(['ReadWriteMany']), {}],
    ['several modes', claim(['ReadWriteOnce', 'ReadWriteMany']), {}],
    ['ReadOnlyMany', claim(['ReadOnlyMany']), {}],
    ['read only here', claim(['ReadWriteOnce', 'ReadOnlyMany']), { readOnly: true }],
    [
      'a listed path of the nodes',
      claim(['ReadWriteMany'], { volume: { name: 'pv', kind: 'hostPath', path: '/scratch/a' } }),
      {},
    ],
  ])('a claim: %s', (_what, one, more) => {
    expect(claimed(one, more)).toBeUndefined();
  });
});

describe('volumes that are refused', () => {
  it.each<[object, RegExp]>([
    [
      { emptyDir: { medium: 'HugePages-2Mi' } },
      /^Volume v is an emptyDir with medium HugePages-2Mi, .*MAP_HUGETLB/,
    ],
    [{ hostPath: { path: '/var/log' } }, /path \/var\/log, .* operator\.sharedHostPaths\.$/],
    [{ hostPath: { path: '/scratchy' } }, /path \/scratchy/],
    [{ hostPath: { path: '/scratch/../etc' } }, /\/etc/],
    [{ hostPath: { path: '/scratch/s', type: 'Socket' } }, /of type Socket/],
    [
      { ephemeral: {} },
      /is of kind ephemeral: its claim p-v belongs to this pod alone\. .*ReadWriteMany/,
    ],
    [
      { ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOncePod'] } } } },
      /its claim p-v \(ReadWriteOncePod\) belongs to this pod alone/,
    ],
    [
      { csi: { driver: 'secrets.example.com' } },
      /^Volume v is of kind csi \(driver secrets\.example\.com\), which does not move/,
    ],
    [{ csi: null }, /is of kind csi, which does not move/],
    [
      { persistentVolumeClaim: { claimName: 'gone' } },
      /claim gone, which is not there or not bound/,
    ],
  ])('%j', (volume, message) => {
    expect(messageOf(volume)).toMatch(message);
  });

  it.each<[string, Claim, RegExp, object?]>([
    [
      'of one node',
      claim(['ReadWriteOnce']),
      /^Volume v is claim c of PersistentVolume pv, which only one node at a time may mount \(ReadWriteOnce\)\. .* ReadWriteMany, or delete the pod/,
    ],
    [
      'of one pod',
      claim(['ReadWriteOncePod']),
      /^Volume v is claim c of PersistentVolume pv, which only one pod at a time may use \(ReadWriteOncePod\)\. .* ReadWriteMany/,
    ],
    [
      'of one node, read only here',
      claim(['ReadWriteOnce']),
      /only one node at a time may mount/,
      { readOnly: true },
    ],
    [
      // No other node has it: to delete the pod helps nobody.
      'of one node, a directory there',
      claim(['ReadWriteOnce'], { volume: { name: 'pv', kind: 'local' } }),
      /^Volume v is claim c, whose PersistentVolume pv is a directory of one node \(local, ReadWriteOnce\)\. Use a claim of a file system that several nodes mount\.$/,
    ],
    [
      'of one node, a path there',
      claim(['ReadWriteOnce'], { volume: { name: 'pv', kind: 'hostPath', path: '/srv' } }),
      /PersistentVolume pv is the node's path \/srv \(ReadWriteOnce\), and the target's node/,
    ],
    [
      'of one node, a path that all nodes share',
      claim(['ReadWriteOnce'], { volume: { name: 'pv', kind: 'hostPath', path: '/scratch' } }),
      /only one node at a time may mount \(ReadWriteOnce\)/,
    ],
    [
      'that is being deleted',
      claim(['ReadWriteMany'], { isDeleted: true }),
      /^Volume v is claim c, which is being deleted: no other pod can use it/,
    ],
    ['that may also be read only', claim(['ReadWriteOnce', 'ReadOnlyMany']), /only one node/],
    ['not bound', { accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem' }, /not bound/],
    ['a block device', claim(['ReadWriteMany'], { volumeMode: 'Block' }), /raw block device/],
    [
      'a directory of a node that states another mode',
      claim(['ReadWriteMany'], { volume: { name: 'pv', kind: 'local' } }),
      /PersistentVolume pv is a directory of one node/,
    ],
    [
      'a path of the nodes that nobody has listed',
      claim(['ReadWriteMany'], { volume: { name: 'pv', kind: 'hostPath', path: '/srv' } }),
      /PersistentVolume pv is the node's path \/srv/,
    ],
  ])('a claim %s', (_what, one, message, more) => {
    expect(claimed(one, more)).toMatch(message);
  });
});

describe('a checkpoint', () => {
  const refused = (volume: object): string[] => {
    const one = pod({ spec: { volumes: [{ name: 'v', ...volume }] } });
    return [...sharedVolumeRefusals(one)].map(({ message }) => message);
  };

  it('has no volume that goes on changing', () => {
    for (const volume of [
      { nfs: { server: 's', path: '/' } },
      { persistentVolumeClaim: { claimName: 'c' } },
      { hostPath: { path: '/scratch' } },
    ]) {
      expect(refused(volume)).toEqual([expect.stringMatching(/^Volume v of kind .* checkpoint/)]);
    }
  });

  it('may have one that the pod only reads, and all that is in the images', () => {
    expect(refused({ persistentVolumeClaim: { claimName: 'c', readOnly: true } })).toEqual([]);
    expect(refused({ emptyDir: {} })).toEqual([]);
  });
});

describe('the list of shared paths', () => {
  it('has one absolute path a line', () => {
    const read = (text?: string) => sharedHostPathsFrom({ SEALIFT_SHARED_HOST_PATHS: text });
    expect(read('/a\n/b c')).toEqual(['/a', '/b c']);
    expect(read()).toEqual([]);
    expect(() => read('a')).toThrow(/SEALIFT_SHARED_HOST_PATHS/);
    expect(() => read('/a/../b')).toThrow(/absolute/);
  });
});
