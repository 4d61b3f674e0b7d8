// SPDX-License-Identifier: Apache-2.0
// Resuming or stopping a pod, whatever has become of its containers meanwhile.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Host } from '../host/host.ts';
import { AgentError } from '../../support/errors.ts';
import { ContainerEnded } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import type { KeptNaks } from '../device/kept-naks.ts';
import { Checkpointer, type CgroupControl } from './checkpointer.ts';

const nak = { qpn: 17, psn: 3, syndrome: 0x62 };
const rxeNaks = vi.hoisted(() => vi.fn<() => Promise<object[]>>());
vi.mock('../../../../native/addon/index.ts', () => ({ rxeNaks }));
beforeEach(() => void rxeNaks.mockReset().mockResolvedValue([nak]));

const container = (name: string, cgroup?: string) =>
  ({ id: name, name, netns: '/run/netns/x', ...(cgroup && { cgroup }) }) as unknown as Container;

/** The real methods over a node that records the calls. */
class RecordingCheckpointer extends Checkpointer {
  readonly did: string[];
  here: Container[];
  /** Where containerd says that the pod's sandbox is. */
  sandbox: string | undefined;
  /** What happens to the cgroups of this name. */
  readonly fails: Record<string, Error> = {};

  constructor(here: Container[]) {
    const did: string[] = [];
    const record = (what: string) => async (netns: string) => void did.push(`${what} ${netns}`);
    super({
      host: new Host({ root: '/' }),
      lock: {
        lock: async (netns: string, kind: unknown, resets: readonly string[] = []) => {
          if (this.lockFails && (resets.length > 0 || this.lockFails === 'all'))
            throw new AgentError('LockFailed', 'no such rule');
          did.push(`lock ${netns}`);
        },
        unlock: record('unlock'),
      },
      driver: {
        hold: record('hold'),
        holdButDatagrams: record('hold but datagrams'),
        stopDatagrams: record('stop datagrams'),
        resume: record('resume'),
        hide: record('hide'),
        interfaces: async () => ['net1'],
        devices: async () => [{ name: 'rxe' }],
      },
      exec: {
        check: async () => undefined,
        refuse: async () => void did.push('refuse exec'),
        allow: async () => void did.push('allow exec'),
      },
      unmovable: { check: async () => undefined },
      links: { check: async () => undefined },
      clusterSockets: { check: async () => undefined },
      deviceObjects: { check: async () => undefined },
      endTcp: async (netns: string, addresses: readonly string[]) => {
        if (this.endFails) throw this.endFails;
        did.push(`reset ${netns} ${addresses.join(' ')}`);
      },
    } as unknown as ConstructorParameters<typeof Checkpointer>[0]);
    this.did = did;
    this.here = here;
  }
  protected override async checkIpc(): Promise<void> {}
  protected override async containers(): Promise<Container[]> {
    return this.here;
  }
  protected override async sandboxNetns(): Promise<string | undefined> {
    return this.sandbox;
  }
  protected override async endFormerDumps(containers: readonly Container[]): Promise<void> {
    if (containers.length > 0) this.did.push('no dump');
  }
  /** What nft refuses. */
  lockFails: 'resets' | 'all' | undefined;
  /** What the kernel says to the end of connections. */
  endFails: Error | undefined;
  protected override cgroup(dir: string): CgroupControl {
    const record = (what: string) => async () => {
      if (what === 'thaw' && this.fails[dir]) throw this.fails[dir];
      this.did.push(`${what} ${dir}`);
    };
    return {
      freeze: record('freeze'),
      thaw: record('thaw'),
      endTcpRepair: record('end repair'),
      kill: record('kill'),
    };
  }
}

describe('a pod that was locked', () => {
  it('is resumed with every container that runs, also one that cannot be moved', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a'), container('debugger', '/b')]);
    await expect(pod.inspectPod('u', ['main'], [])).rejects.toMatchObject({
      code: 'UnsupportedObject',
    });
    await pod.resumePod({ podUid: 'u' });
    expect(pod.did).toEqual([
      ...['no dump', 'end repair /a', 'end repair /b', 'unlock /run/netns/x'],
      ...['thaw /a', 'thaw /b', 'resume /run/netns/x', 'allow exec'],
    ]);
  });

  it('is resumed without a container that ends at this moment or has no cgroup', async () => {
    const here = [container('main', '/a'), container('odd'), container('side', '/b')];
    const pod = new RecordingCheckpointer(here);
    pod.fails['/a'] = new ContainerEnded();
    await pod.resumePod({ podUid: 'u' });
    expect(pod.did.slice(-3)).toEqual(['thaw /b', 'resume /run/netns/x', 'allow exec']);
    await pod.stopPod({ podUid: 'u' });
    expect(pod.did.slice(-2)).toEqual(['kill /a', 'kill /b']);
  });

  it('has the peers of its connections told before it is killed, and is killed in any case', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    expect(await pod.stopPod({ podUid: 'u', resets: ['10.1.2.3'] })).toBeUndefined();
    expect(pod.did).toEqual([
      ...['lock /run/netns/x', 'hide /run/netns/x', 'reset /run/netns/x 10.1.2.3', 'kill /a'],
    ]);
    pod.endFails = Object.assign(new Error('no module'), { code: 'EOPNOTSUPP' });
    const failure = await pod.stopPod({ podUid: 'u', resets: ['10.1.2.3'] });
    expect([failure?.message, pod.did.at(-1)]).toEqual(['no module', 'kill /a']);
    pod.endFails = Object.assign(new Error('gone'), { code: 'ENOENT' });
    expect(await pod.stopPod({ podUid: 'u', resets: ['10.1.2.3'] })).toBeUndefined();
    pod.endFails = new Error('nobody asks');
    expect(await pod.stopPod({ podUid: 'u' })).toBeUndefined();
  });

  it('falls silent though nft refuses what lets resets through, and says so', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    pod.lockFails = 'resets';
    expect(await pod.stopPod({ podUid: 'u', resets: ['10.1.2.3'] })).toEqual({
      ...{ code: 'LockFailed', message: 'no such rule' },
    });
    expect(pod.did).toEqual(['lock /run/netns/x', 'hide /run/netns/x', 'kill /a']);
    pod.lockFails = 'all';
    const stopped = pod.stopPod({ podUid: 'u', resets: ['10.1.2.3'] });
    await expect(stopped).rejects.toMatchObject({ code: 'LockFailed' });
    expect(pod.did).toHaveLength(3);
  });

  it('is resumed as far as it can be, and again, if a container does not thaw', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a'), container('side', '/b')]);
    pod.fails['/a'] = new AgentError('RuntimeFailed', 'not within 10 s');
    await expect(pod.resumePod({ podUid: 'u' })).rejects.toThrow(/10 s/);
    expect(pod.did.slice(-2)).toEqual(['thaw /b', 'resume /run/netns/x']);
  });

  it('keeps the dump that was started for it until it is resumed', async () => {
    const did: string[] = [];
    const dumps = { has: () => true, giveUp: async () => void did.push('give up') };
    class Real extends Checkpointer {
      protected override async containers(): Promise<Container[]> {
        return [container('main')];
      }
      endAll = () => this.endFormerDumps([container('main')]);
    }
    const pod = new Real({
      host: new Host({ root: '/' }),
      ahead: dumps,
      runc: { endFormerDump: async () => !did.push('end') },
      lock: { unlock: async () => undefined },
      driver: { resume: async () => undefined },
      exec: { allow: async () => undefined },
    } as unknown as ConstructorParameters<typeof Checkpointer>[0]);
    await pod.endAll();
    expect(did).toEqual([]);
    await pod.resumePod({ podUid: 'u' });
    expect(did).toEqual(['give up']);
  });

  it('takes no exec from before its lock', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    await pod.lockNetwork(await pod.findPod('u'), 'MigrationRequest default/move');
    expect(pod.did).toEqual(['refuse exec', 'lock /run/netns/x']);
  });

  it('is stopped with every container that runs', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a'), container('debugger', '/b')]);
    await pod.stopPod({ podUid: 'u' });
    expect(pod.did).toEqual(['lock /run/netns/x', 'hide /run/netns/x', 'kill /a', 'kill /b']);
  });

  it('says what its silent device keeps before the queue pairs go with its tasks', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    await pod.stopPod({ podUid: 'u' }, async ({ naks }) => void pod.did.push(JSON.stringify(naks)));
    expect(pod.did).toEqual([
      ...['lock /run/netns/x', 'hide /run/netns/x', JSON.stringify([nak]), 'kill /a'],
    ]);
  });

  it('says it also when the driver fails once', async () => {
    rxeNaks.mockRejectedValueOnce(new Error('EIO'));
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    const found: KeptNaks[] = [];
    await pod.stopPod({ podUid: 'u' }, async (naks) => void found.push(naks));
    expect(found.flatMap(({ naks }) => naks)).toEqual([nak]);
    expect(pod.did.at(-1)).toBe('kill /a');
  });

  it('is killed, and soon, though the driver does not say what the device keeps', async () => {
    rxeNaks.mockRejectedValue(Object.assign(new Error('EIO'), { code: 'EIO' }));
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    const found: KeptNaks[] = [];
    await pod.stopPod({ podUid: 'u' }, async (naks) => void found.push(naks));
    expect(pod.did).toEqual(['lock /run/netns/x', 'hide /run/netns/x', 'kill /a']);
    expect(rxeNaks).toHaveBeenCalledTimes(2);
    expect(found.at(-1)).toEqual({
      ...{ naks: [], failures: [{ code: 'Internal', message: 'EIO' }] },
    });
  });

  it('is not killed if that cannot be kept', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    const stopped = pod.stopPod({ podUid: 'u' }, () => Promise.reject(new Error('disk')));
    await expect(stopped).rejects.toThrow('disk');
    expect(pod.did).not.toContain('kill /a');
  });

  it('is found by its sandbox when its containers have ended', async () => {
    const pod = new RecordingCheckpointer([]);
    pod.sandbox = '/run/netns/y';
    await expect(pod.findPod('u')).rejects.toMatchObject({ code: 'PodNotFound' });
    // What containerd gives to containers, and so the journal has.
    await pod.resumePod({ podUid: 'u', netns: '/proc/77/ns/net' });
    await pod.stopPod({ podUid: 'u', netns: '/proc/77/ns/net' });
    expect(pod.did).toEqual([
      ...['unlock /run/netns/y', 'resume /run/netns/y', 'allow exec'],
      ...['lock /run/netns/y', 'hide /run/netns/y'],
    ]);
  });

  it('is found by its journal when its sandbox has ended, too', async () => {
    const pod = new RecordingCheckpointer([]);
    await pod.resumePod({ podUid: 'u', netns: '/run/netns/y' });
    expect(pod.did).toEqual(['unlock /run/netns/y', 'resume /run/netns/y', 'allow exec']);
  });

  it('is frozen as a whole', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a'), container('side', '/b')]);
    await pod.freezeTasks(await pod.inspectPod('u', ['side', 'main'], []));
    expect(pod.did.slice(0, 3)).toEqual(['no dump', 'freeze /a', 'freeze /b']);
  });

  it('receives datagrams until its tasks are frozen, and none while it is dumped', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    const found = await pod.findPod('u');
    await pod.holdDevice(found, { rnrTimer: 20, chooses: true });
    await pod.freezeTasks(found);
    expect(pod.did).toEqual([
      'hold but datagrams /run/netns/x',
      ...['no dump', 'freeze /a', 'stop datagrams /run/netns/x'],
    ]);
  });

  it('is not touched while a container of its own does not run', async () => {
    const pod = new RecordingCheckpointer([container('main', '/a')]);
    await expect(pod.inspectPod('u', ['side', 'main'], [])).rejects.toMatchObject({
      code: 'ContainerNotRunning',
      message: expect.stringMatching(/side/) as string,
    });
  });

  it('is not found through a PID that another task may have by now', async () => {
    const pod = new RecordingCheckpointer([]);
    await pod.resumePod({ podUid: 'u', netns: '/proc/77/ns/net' });
    await pod.stopPod({ podUid: 'u', netns: '/proc/77/ns/net' });
    expect(pod.did).toEqual(['allow exec']);
  });
});
