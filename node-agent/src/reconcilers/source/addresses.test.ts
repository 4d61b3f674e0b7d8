// SPDX-License-Identifier: Apache-2.0
// A source whose target is given its addresses before it is locked (docs/adr/0029).
import { describe, expect, it, vi } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import {
  dieAt,
  effects,
  pass,
  put,
  run,
  runs,
  sourceNode,
  stage,
  status,
} from '../../testing/source-agent.ts';

describe('a source with a target that is given its addresses', () => {
  const atGate = (digest?: string, gids: object[] = []) =>
    put({ targetAgent: { state: 'AtCreateGate', gids, fabric: digest ? { digest } : {} } });
  const reported = () => status()?.sourceAgent?.fabric?.digest;

  it('says them, and is locked once the target has them', async () => {
    atGate();
    await runs();
    expect([sourceNode.did, stage(), reported()]).toEqual([[], undefined, 'one']);
    // The target's order is compared only then.
    expect(sourceNode.targetGids).toBeUndefined();
    const gids = [{ interface: 'net1', index: 1, gid: '::ffff:10.0.0.1' }];
    atGate('one', gids);
    await run();
    expect([sourceNode.did, sourceNode.targetGids]).toEqual([[...effects], gids]);
  });

  it('is not locked with others than the target has been given, until that has those of now', async () => {
    put({ targetAgent: { state: 'Preparing' }, deadlines: {} });
    await runs();
    sourceNode.fabric = { ...sourceNode.fabric, digest: 'two' };
    atGate('one');
    await runs();
    expect([sourceNode.did, stage(), reported()]).toEqual([[], undefined, 'two']);
    expect(status()?.decision).toBeUndefined();
    atGate('two');
    await run();
    expect(sourceNode.did).toEqual([...effects]);
  });

  it('says the same times until others have changed', async () => {
    const aged = (validSeconds: number) => {
      const address = { address: 'fd00::1', prefix: 64, validSeconds };
      sourceNode.fabric = { digest: 'one', interfaces: [{ name: 'net1', addresses: [address] }] };
    };
    aged(100);
    atGate();
    await run();
    const before = status()?.sourceAgent?.fabric;
    aged(90);
    await run();
    expect(status()?.sourceAgent?.fabric).toEqual(before);
  });

  it('waits until the blackout deadline, and is not touched', async () => {
    atGate('zero');
    await runs();
    pass(24 * 3600_000);
    await runs();
    expect([sourceNode.did, stage()]).toEqual([[], undefined]);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted' });
  });

  it('is locked by an agent that has restarted, whatever its addresses are by now', async () => {
    atGate('one');
    await run();
    await dieAt('lock.after');
    sourceNode.fabric = { ...sourceNode.fabric, digest: 'two' };
    await run();
    expect(sourceNode.did).toEqual(['lock', ...effects]);
  });

  it('is locked again by an agent that has restarted, whatever the lock has done to its processes', async () => {
    atGate('one');
    await run();
    await dieAt('lock.after');
    sourceNode.fail = { at: 'processes', error: new AgentError('UnsupportedObject', 'a socket') };
    await run();
    expect(sourceNode.did).toEqual(['lock', ...effects]);
  });

  it('is not locked if they change while the programs of its dump start', async () => {
    put({ targetAgent: { state: 'Preparing' }, deadlines: {} });
    await runs();
    const started = vi.spyOn(sourceNode.checkpointer, 'startDumps');
    started.mockImplementation(async () => {
      sourceNode.fabric = { ...sourceNode.fabric, digest: 'two' };
    });
    atGate('one');
    await runs();
    expect([sourceNode.did, stage()]).toEqual([[], undefined]);
    expect(reported()).toBe('two');
    started.mockRestore();
    atGate('two');
    await run();
    expect(sourceNode.did).toEqual([...effects]);
  });
});
