// SPDX-License-Identifier: Apache-2.0
// What a dry run asks the inspector, by what the operator and the policy say.
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../../../crds/src/index.ts';
import type { InspectedPod } from '../../node/dump/pod-inspector.ts';
import { migration, pod, SOURCE_UID } from '../../testing/objects.ts';
import { inspect } from './inspect.ts';

const app = pod('app', SOURCE_UID, {}, { podIPs: [{ ip: '10.1.2.3' }, { ip: 'fd00::3' }] });
const queuePairs = { firstPeerToGiveUp: async () => undefined };

/** @param keeps whether this node's network keeps addresses */
async function asked(
  status: object,
  keeps: boolean,
  work: (given: InspectedPod) => Promise<unknown> = async () => undefined,
): Promise<InspectedPod> {
  let seen: InspectedPod | undefined;
  await inspect(migration(status, {}, { dryRun: true }), {
    pods: { getPod: async () => app },
    podIp: { look: async () => (keeps ? {} : 'no network') } as never,
    inspector: {
      inspect: async (given) => {
        seen = given;
        await work(given);
        return { findings: [] as Finding[] };
      },
    },
  });
  if (!seen) throw new Error('nobody was asked');
  return seen;
}

describe('a dry run', () => {
  const findings: Finding[] = [];
  it.each<[string, object, boolean, string[]]>([
    ['the node found keeps none', { keepsAddresses: false }, true, ['10.1.2.3', 'fd00::3']],
    ['the node found keeps them', { keepsAddresses: true }, false, []],
    ['no node was found, and this one keeps them', {}, true, []],
    ['no node was found, and this one keeps none', {}, false, ['10.1.2.3', 'fd00::3']],
  ])(
    'counts connections at addresses that are lost where %s',
    async (_name, more, keeps, wanted) => {
      const { clusterAddresses } = await asked({ inspection: { findings, ...more } }, keeps);
      expect(clusterAddresses).toEqual(wanted);
    },
  );

  it('asks by the bandwidth and the timeouts of the policy', async () => {
    const policy = {
      ...{ name: 'slow', generation: 1, limits: { bandwidthPerMigration: '1Mi' } },
      timeouts: { transferSeconds: 5 },
    };
    const given = await asked({ policy }, true, async ({ checkPeers, checkBandwidth }) => {
      await checkPeers(queuePairs, '/netns', 2 ** 20);
      checkBandwidth(5 * 2 ** 20);
    });
    expect(given.bandwidth?.bytesPerSecond).toBe(2 ** 20);
    expect(() => given.checkBandwidth(6 * 2 ** 20)).toThrow(/step transfer may take 5 s/);
    const free = await asked({}, true);
    expect(free.bandwidth).toBeUndefined();
    expect(() => free.checkBandwidth(1e15)).not.toThrow();
  });
});
