// SPDX-License-Identifier: Apache-2.0
// In which order a committed target is heard and hears.
import { describe, expect, it, vi } from 'vitest';
import type { RestoredControl } from './restored-container.ts';
import { Restorer } from './restorer.ts';

const did: string[] = [];
/** What the driver says when it is given NAKs. */
let failure: Error | undefined;
/** What the kernel says. */
let says: { toReset?: Error; toEnd?: Error; toRemove?: Error } = {};
const errno = (code: string): Error => Object.assign(new Error(code), { code });
const nak = { qpn: 17, psn: 3, syndrome: 0x62 };
const none = { ...nak, qpn: 1 };
vi.mock('../../../../native/addon/index.ts', () => ({
  endTcpAt: async (_netns: string, addresses: string[]) => {
    did.push(`end ${addresses.join(' ')}`);
    if (says.toEnd) throw says.toEnd;
  },
  removeAddress: async ({ ifname, address }: { ifname: string; address: object }) => {
    did.push(`remove ${JSON.stringify(address)} of ${ifname}`);
    if (says.toRemove) throw says.toRemove;
  },
  rxeRestoreNaks: async ({ naks }: { naks: (typeof nak)[] }) => {
    did.push(`give ${naks.length}`);
    if (failure) throw failure;
    return naks.filter(({ qpn }) => qpn !== 17);
  },
}));

/** The real methods over a node that records the calls. */
function recordingRestorer(interfaces = ['net1']): { restorer: Restorer; did: string[] } {
  did.length = 0;
  failure = undefined;
  says = {};
  const record = (what: string) => async (_netns: string, kind: unknown) =>
    void did.push(typeof kind === 'string' ? `${what} ${kind}` : what);
  const restorer = new Restorer(
    {
      lock: { lock: record('lock'), unlock: record('unlock') },
      driver: {
        interfaces: async () => interfaces,
        devices: async () => interfaces.map((netdev) => ({ name: 'rxe', netdev })),
        receiveDatagrams: record('receive datagrams'),
        show: record('show'),
        announce: record('announce'),
        resume: record('resume'),
      },
    } as unknown as ConstructorParameters<typeof Restorer>[0],
    {
      resetConnections: async ({ id }: { id: string }, addresses: string[]) => {
        did.push(`reset ${addresses.join(' ')} of ${id}`);
        if (says.toReset) throw says.toReset;
      },
    } as unknown as RestoredControl,
  );
  return { restorer, did };
}

describe('a committed target', () => {
  it('receives datagrams before peers can reach it', async () => {
    const { restorer, did } = recordingRestorer();
    await restorer.answerPeers('/run/netns/x');
    expect(did).toEqual(['receive datagrams', 'lock roce', 'show', 'announce']);
  });

  it('without an RDMA device has no peers to answer', async () => {
    const { restorer, did } = recordingRestorer([]);
    expect(await restorer.answerPeers('/run/netns/x')).toBe(false);
    expect(did).toEqual([]);
  });

  it('resumes its device last', async () => {
    const { restorer, did } = recordingRestorer();
    await restorer.resumePod('/run/netns/x');
    expect(did).toEqual(['unlock', 'show', 'announce', 'resume']);
  });

  it('resets the connections that it loses before anything of it is heard', async () => {
    const { restorer, did } = recordingRestorer();
    const containers = [{ id: 'a' }, { id: 'b' }];
    await restorer.resumePod('/run/netns/x', [], {
      addresses: ['10.1.2.3', 'fd00::3'],
      containers,
    });
    expect(did).toEqual([
      ...['reset 10.1.2.3 fd00::3 of a', 'reset 10.1.2.3 fd00::3 of b', 'end 10.1.2.3 fd00::3'],
      'remove {"address":"10.1.2.3","prefix":32,"scope":254} of lo',
      'remove {"address":"fd00::3","prefix":128} of lo',
      ...['unlock', 'show', 'announce', 'resume'],
    ]);
    did.length = 0;
    await restorer.answerPeers('/run/netns/x', { addresses: ['10.1.2.3'], containers: [] });
    expect(did).toEqual([
      ...['end 10.1.2.3', 'remove {"address":"10.1.2.3","prefix":32,"scope":254} of lo'],
      ...['receive datagrams', 'lock roce', 'show', 'announce'],
    ]);
    did.length = 0;
    await restorer.resumePod('/run/netns/x', [], { addresses: [], containers });
    expect(did).toEqual(['unlock', 'show', 'announce', 'resume']);
  });

  it.each([
    [{ toReset: errno('EINVAL') }, 'of container a at 10.1.2.3 cannot be reset: EINVAL'],
    [{ toReset: errno('ENOENT') }, 'of container a at 10.1.2.3 cannot be reset: ENOENT'],
    [{ toEnd: errno('ENOENT') }, 'that no process has at 10.1.2.3 cannot be reset: ENOENT'],
  ])(
    'is not taken for gone, and left locked, if the kernel refuses a reset: %o',
    async (of, text) => {
      const { restorer, did } = recordingRestorer();
      says = of;
      const lost = { addresses: ['10.1.2.3'], containers: [{ id: 'a' }] };
      const failed = { code: 'RuntimeFailed', message: `The connections ${text}` };
      await expect(restorer.resumePod('/run/netns/x', [], lost)).rejects.toMatchObject(failed);
      expect(did).not.toContain('unlock');
      says = {};
      await restorer.resumePod('/run/netns/x', [], lost);
      expect(did).toContain('unlock');
    },
  );

  it('needs nothing once its namespace is gone', async () => {
    const { restorer, did } = recordingRestorer();
    says = { toEnd: errno('ENOENT'), toRemove: errno('ENOENT') };
    const lost = { addresses: ['10.1.2.3'], containers: [] };
    expect(await restorer.resumePod('/run/netns/x', [], lost)).toEqual({
      ...{ refused: [], failures: [] },
    });
    expect(did).not.toContain('unlock');
  });

  it('gives its held queue pairs what their peers have told the source', async () => {
    const { restorer } = recordingRestorer();
    expect(await restorer.resumePod('/run/netns/x', [nak, none])).toEqual({
      ...{ refused: [none], failures: [] },
    });
    expect(did.slice(-2)).toEqual(['give 2', 'resume']);
  });

  // EINVAL is also what a namespace that is gone answers: the pod would be thawed with a device that is held.
  it.each(['EIO', 'EINVAL'])('is resumed though its driver says %s to that', async (code) => {
    const { restorer } = recordingRestorer();
    failure = Object.assign(new Error(code), { code });
    expect(await restorer.resumePod('/run/netns/x', [nak])).toEqual({
      ...{ refused: [nak], failures: [{ code: 'Internal', message: code }] },
    });
    expect(did.slice(-2)).toEqual(['give 1', 'resume']);
  });
});
