// SPDX-License-Identifier: Apache-2.0
// In which order a committed target is heard and hears.
import { describe, expect, it } from 'vitest';
import { Restorer } from './restorer.ts';

/** The real methods over a node that records the calls. */
function recordingRestorer(interfaces = ['net1']): { restorer: Restorer; did: string[] } {
  const did: string[] = [];
  const record = (what: string) => async (_netns: string, kind: unknown) =>
    void did.push(typeof kind === 'string' ? `${what} ${kind}` : what);
  const restorer = new Restorer({
    lock: { lock: record('lock'), unlock: record('unlock') },
    driver: {
      interfaces: async () => interfaces,
      receiveDatagrams: record('receive datagrams'),
      show: record('show'),
      announce: record('announce'),
      resume: record('resume'),
    },
  } as unknown as ConstructorParameters<typeof Restorer>[0]);
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
});
