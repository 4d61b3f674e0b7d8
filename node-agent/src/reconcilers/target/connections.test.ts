// SPDX-License-Identifier: Apache-2.0
// A target whose source has lost TCP connections: CRIU restores them, and the agent resets them (docs/adr/0048).
import { describe, expect, it } from 'vitest';
import { REQUEST_UID } from '../../testing/objects.ts';
import {
  ask,
  journal,
  node,
  record,
  restartAgent,
  runs,
  stage,
  toResumeGate,
} from '../../testing/target-agent.ts';

const addresses = ['10.1.2.3'];
const c1 = expect.objectContaining({ id: 'c1' }) as unknown;

describe('a target that is given connections which the pod loses', () => {
  it('lends CRIU their addresses, and resets them before anything of the pod is heard or runs', async () => {
    ask({ podIPConnections: 'Reset' });
    node.lostAddresses = addresses;
    await toResumeGate();
    expect(node.lent).toEqual(addresses);
    expect(journal.get(REQUEST_UID, 'target')?.resets).toEqual(addresses);
    expect(node.reset).toBeUndefined();
    record('Committed');
    await runs();
    expect(node.reset).toEqual({ addresses, containers: [c1] });
    expect([node.ran, stage()]).toEqual([1, 'Running']);
  });

  it('resets them also after a restart of its agent', async () => {
    ask({ podIPConnections: 'Reset' });
    node.lostAddresses = addresses;
    await toResumeGate();
    record('Committed');
    node.dieAt = 'resume.before';
    void runs();
    await node.died.promise;
    await restartAgent();
    await runs();
    expect([node.reset, node.ran]).toEqual([{ addresses, containers: [c1] }, 1]);
  });

  it('lends addresses of closed sockets where the request allows no reset: its source has seen to it that there are no others', async () => {
    node.lostAddresses = addresses;
    await toResumeGate();
    expect(node.lent).toEqual(addresses);
    record('Committed');
    await runs();
    expect(node.reset?.addresses).toEqual(addresses);
  });

  it('lends none if the images need none', async () => {
    ask({ podIPConnections: 'Reset' });
    await toResumeGate();
    expect(node.lent).toEqual([]);
    expect(journal.get(REQUEST_UID, 'target')).not.toHaveProperty('resets');
    record('Committed');
    await runs();
    expect(node.reset?.addresses).toEqual([]);
  });
});
