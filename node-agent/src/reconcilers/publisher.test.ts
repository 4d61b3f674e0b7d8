// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from 'vitest';
import { fieldManagers, type MigrationRequest } from '../../../crds/src/index.ts';
import { FakeClock, migrationRequests, silent, type Context } from '../../../kube/src/index.ts';
import { MemoryApi } from '../testing/api.ts';
import { migration, NAMESPACE, REQUEST_UID } from '../testing/objects.ts';
import { Publisher } from './publisher.ts';

const context: Context = { signal: new AbortController().signal, log: silent };
let clock: FakeClock;
let api: MemoryApi;
let publisher: Publisher<MigrationRequest>;

const current = (): MigrationRequest => {
  const found = api.peek(migrationRequests, NAMESPACE, 'move');
  if (!found) throw new Error('gone');
  return found;
};
const written = (): string[] =>
  api.writes.map(
    ({ fields }) =>
      (fields as { status: { sourceAgent: { state: string } } }).status.sourceAgent.state,
  );
const parts = (): unknown[] =>
  api.writes.map(
    ({ fields }) => (fields as { status: { sourceAgent: object } }).status.sourceAgent,
  );
const settle = () => new Promise((resolve) => setImmediate(resolve));
const mention = (state: string): Promise<void> => publisher.mention(current(), { state }, context);

beforeEach(() => {
  clock = new FakeClock();
  api = new MemoryApi();
  api.put(migrationRequests, migration());
  publisher = new Publisher({
    ...{ api, resource: migrationRequests, manager: fieldManagers.sourceAgent, clock },
    ...{ field: 'sourceAgent', mentionMs: 1000 },
  });
});

describe('a state that nobody waits for', () => {
  it('is reported once it has lasted', async () => {
    await mention('Dumping');
    await clock.advance(999);
    expect(written()).toEqual([]);
    await mention('Dumping');
    await clock.advance(1);
    expect(written()).toEqual(['Dumping']);
    await mention('Dumping');
    await clock.advance(5000);
    expect(written(), 'once').toEqual(['Dumping']);
  });

  it('gives way to the next one, which lasts for itself', async () => {
    await mention('Dumping');
    await clock.advance(900);
    await mention('Transferring');
    await clock.advance(900);
    expect(written()).toEqual([]);
    await clock.advance(100);
    expect(written()).toEqual(['Transferring']);
  });

  it('gives way to one that somebody waits for', async () => {
    await mention('Dumping');
    await publisher.write(current(), { state: 'Transferring' });
    await mention('Sent');
    publisher.progress(current(), { state: 'Gone' }, context);
    await clock.advance(5000);
    expect(written()).toEqual(['Transferring', 'Gone']);
  });

  it('is reported at once if it takes away what a failure said', async () => {
    const failed = { state: 'Dumping', reason: 'RestoreFailed', message: 'no memory' };
    await publisher.write(current(), failed);
    await mention('Dumping');
    expect(parts()).toEqual([failed, { state: 'Dumping' }]);
    await mention('Dumping');
    await clock.advance(5000);
    expect(written(), 'once').toHaveLength(2);
  });

  it('is not reported for a request that is deleted', async () => {
    await mention('Dumping');
    publisher.forget(REQUEST_UID);
    await clock.advance(5000);
    expect(written()).toEqual([]);
  });
});

describe('progress that was not written', () => {
  const progress = (state: string): void => publisher.progress(current(), { state }, context);
  const lose = async (): Promise<void> => {
    api.reachable = false;
    progress('Holding');
    await settle();
  };

  it('is written again until it is there', async () => {
    await lose();
    await clock.advance(2000);
    await settle();
    api.reachable = true;
    expect(written()).toEqual([]);
    await clock.advance(600);
    await settle();
    expect(written()).toEqual(['Holding']);
    await clock.advance(5000);
    expect(written(), 'once').toEqual(['Holding']);
  });

  it('makes the next state be written at once, although nobody waits for that', async () => {
    await lose();
    api.reachable = true;
    await mention('Dumping');
    await settle();
    expect(written()).toEqual(['Dumping']);
    await clock.advance(5000);
    expect(written()).toEqual(['Dumping']);
  });

  it('is followed soon by a state that has come while it was under way', async () => {
    api.reachable = false;
    progress('Holding');
    await mention('Dumping');
    await settle();
    api.reachable = true;
    await clock.advance(600);
    await settle();
    expect(written()).toEqual(['Dumping']);
  });

  it('is not written after what somebody waits for', async () => {
    api.reachable = false;
    progress('Holding');
    const failed = publisher.write(current(), { state: 'Failed' });
    await expect(failed).rejects.toMatchObject({ code: 'Unreachable' });
    api.reachable = true;
    await clock.advance(5000);
    await settle();
    expect(written()).toEqual([]);
    await lose();
    api.reachable = true;
    await publisher.write(current(), { state: 'Failed' });
    await clock.advance(5000);
    expect(written()).toEqual(['Failed']);
  });

  it.each(['while it is under way', 'later'])('is forgotten with its request, %s', async (when) => {
    api.reachable = false;
    progress('Holding');
    if (when === 'later') await settle();
    publisher.forget(REQUEST_UID);
    await settle();
    api.reachable = true;
    await clock.advance(5000);
    await settle();
    expect(written()).toEqual([]);
  });
});
