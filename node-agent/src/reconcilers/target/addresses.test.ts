// SPDX-License-Identifier: Apache-2.0
// The addresses of a target in the RDMA network, from its create gate until its source may lock the pod.
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { migration, NAMESPACE, REQUEST_UID } from '../../testing/objects.ts';
import {
  create,
  images,
  journal,
  log,
  node,
  put,
  restartAgent,
  run,
  runs,
  state,
  status,
  target,
} from '../../testing/target-agent.ts';
import { recordPreparation } from './journal-entry.ts';

it('a target reports its addresses at the create gate, also after a restart and of another sandbox', async () => {
  const gids = (index: number) => [{ interface: 'net1', index, gid: '::ffff:10.0.0.1' }];
  const seen = (what: object) =>
    recordPreparation(journal, { kind: 'MigrationRequest', request: migration() }, true, what);
  put();
  await seen({ gids: gids(1) });
  void create();
  await run();
  expect(status()?.targetAgent).toMatchObject({ state: 'AtCreateGate', gids: gids(1) });
  await seen({});
  await restartAgent();
  await run();
  expect(status()?.targetAgent?.gids).toEqual(gids(1));
  await seen({ gids: gids(2) });
  await run();
  expect(status()?.targetAgent?.gids).toEqual(gids(2));
});

describe('a target whose source has addresses of its own', () => {
  const fabric = (digest: string) =>
    put({ sourceAgent: { state: 'Waiting', fabric: { digest, interfaces: [] } } });
  const reported = () => status()?.targetAgent;
  /** As a run does that nothing is planned for. */
  const reportNow = async () => {
    const signal = new AbortController().signal;
    const observed = await target.observe(`${NAMESPACE}/move`);
    if (observed) await target.publish({ state: 'AtCreateGate' }, observed, { signal, log });
  };

  it('has them before it reports that it is at its create gate', async () => {
    fabric('one');
    await run();
    expect([state(), reported()?.fabric, node.placed]).toEqual(['Preparing', {}, []]);
    void create();
    await run();
    expect(node.placed).toEqual(['one /run/c1']);
    expect(reported()).toMatchObject({
      state: 'AtCreateGate',
      fabric: { digest: 'one' },
      gids: [{ interface: 'net1', index: 1, gid: 'fd00::1' }],
    });
    await restartAgent();
    void create();
    await runs();
    expect(node.placed).toHaveLength(1);
    fabric('two');
    await runs();
    expect(node.placed.slice(1)).toEqual(['two /run/c1']);
    expect(reported()).toMatchObject({ fabric: { digest: 'two' }, gids: [{ index: 2 }] });
  });

  it('has them in another sandbox too', async () => {
    fabric('one');
    void create();
    await run();
    await restartAgent();
    void create('c2', 'main', 'box2');
    await runs();
    expect(node.placed).toEqual(['one /run/c1', 'one /run/c2']);
  });

  it('has none of them in another sandbox until it is given them there', async () => {
    const gids = [{ interface: 'net1', index: 7, gid: 'fd00::1' }];
    const record = (sandboxId: string) =>
      recordPreparation(journal, { kind: 'MigrationRequest', request: migration() }, true, {
        sandboxId,
        gids,
      });
    fabric('one');
    await record('box');
    const gone = new AbortController();
    void create('c1', 'main', 'box', gone.signal).catch(() => undefined);
    await run();
    expect(reported()?.fabric).toEqual({ digest: 'one' });
    // Another container of the same sandbox.
    await record('box');
    expect(journal.get(REQUEST_UID, 'target')?.fabric).toMatchObject({ digest: 'one' });
    gone.abort();
    await record('box2');
    expect(journal.get(REQUEST_UID, 'target')?.fabric).toBeUndefined();
    void create('c2', 'main', 'box2');
    node.placeFails = new Error('netlink is busy');
    await run().catch(() => undefined);
    await reportNow();
    expect(reported()).toMatchObject({ state: 'AtCreateGate', fabric: {}, gids });
    expect(reported()?.fabric?.digest).toBeUndefined();
    node.placeFails = undefined;
    await run();
    expect(reported()).toMatchObject({ fabric: { digest: 'one' }, gids: [{ index: 2 }] });
  });

  it('does not report those of the sandbox before, if a placing there has ended only now', async () => {
    fabric('one');
    void create('c1', 'main', 'box');
    await run();
    await restartAgent();
    void create('c2', 'main', 'box2');
    await reportNow();
    expect(reported()?.fabric).toEqual({});
    await run();
    expect(reported()?.fabric).toEqual({ digest: 'one' });
  });

  it('reports no table that has not settled, and looks again', async () => {
    const before = [{ interface: 'net1', index: 7, gid: 'fe80::1' }];
    const request = migration();
    await recordPreparation(journal, { kind: 'MigrationRequest', request }, true, {
      sandboxId: 'box',
      gids: before,
    });
    fabric('one');
    void create();
    node.settles = false;
    await runs();
    expect(node.placed.length).toBeGreaterThan(1);
    expect(journal.get(REQUEST_UID, 'target')).toMatchObject({ gids: before });
    expect(journal.get(REQUEST_UID, 'target')?.fabric).toBeUndefined();
    expect([reported()?.fabric?.digest, status()?.decision]).toEqual([undefined, undefined]);
    node.settles = true;
    await run();
    expect(reported()).toMatchObject({ fabric: { digest: 'one' }, gids: [{ gid: 'fd00::1' }] });
  });

  it('says that it would be given them, if the source has reported none yet', async () => {
    put();
    void create();
    await run();
    expect([state(), reported()?.fabric]).toEqual(['AtCreateGate', {}]);
    fabric('one');
    await run();
    expect(reported()?.fabric).toEqual({ digest: 'one' });
  });

  it('keeps what it has once images arrive', async () => {
    fabric('one');
    const created = create();
    await run();
    await images();
    fabric('two');
    await run();
    expect([await created, node.placed]).toEqual(['restore', ['one /run/c1']]);
  });

  it('is aborted if it cannot have them; what else fails is tried again', async () => {
    fabric('one');
    void create().catch(() => undefined);
    node.placeFails = new Error('netlink is busy');
    await runs();
    expect([node.placed, status()?.decision]).toEqual([[], undefined]);
    node.placeFails = new AgentError('AddressesDiffer', 'fd00::1: Permission denied');
    await runs();
    expect(status()?.decision).toMatchObject({
      outcome: 'Aborted',
      reason: 'AddressesDiffer',
      message: expect.stringContaining('fd00::1: Permission denied') as string,
    });
  });
});
