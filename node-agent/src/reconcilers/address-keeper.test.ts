// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import { nodes, pods, realClock } from '../../../kube/src/index.ts';
import type { AddressFailure } from '../node/pod-ip/address-failures.ts';
import type { Routed } from '../node/pod-ip/node-routes.ts';
import type { KeptAddresses } from '../node/pod-ip/pod-ip.ts';
import { Journal, type Entry } from '../support/journal/journal.ts';
import { MemoryApi } from '../testing/api.ts';
import { AddressKeeper } from './address-keeper.ts';

/** Its watch says nothing. */
class QuietApi extends MemoryApi {
  override async *watch(): AsyncIterable<never> {
    await new Promise(() => undefined);
  }
}

describe('the keeper of addresses', () => {
  let dir: string;
  let api: QuietApi;
  let journal: Journal;
  let stop: AbortController;
  let routed: KeptAddresses[];
  let isKept: (address: string) => boolean | Promise<boolean>;
  /** What the node answers; the last one again and again. */
  let answers: (Partial<Routed> | Error)[];
  let wake: () => void;
  let pruned: boolean[];
  let logged: object[];
  let reserved: (readonly string[])[];

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-keeper-'));
    api = new QuietApi();
    ({ journal } = await Journal.open(dir));
    stop = new AbortController();
    [routed, answers, pruned, logged, reserved] = [[], [{}], [], [], []];
    isKept = () => {
      throw new Error('reservations were not looked at');
    };
    const status = { addresses: [{ type: 'InternalIP', address: '10.77.0.12' }] };
    api.put(nodes, { metadata: { name: 'w2', namespace: '', uid: 'n' }, status });
  });
  afterEach(() => {
    stop.abort();
    rmSync(dir, { recursive: true });
  });

  /** @param reported what its kubelet says of its addresses */
  function put(uid: string, node: string, ip: string, committed: boolean, reported = [ip]): void {
    const condition = { type: podConditions.committed, status: 'True' };
    api.put(pods, {
      metadata: {
        ...{ name: uid, namespace: 'default', uid },
        labels: { [labels.podIp]: 'kept' },
        annotations: { [annotations.requestUid]: `request-${uid}`, [annotations.podIp]: ip },
      },
      spec: { nodeName: node },
      status: {
        podIPs: reported.map((one) => ({ ip: one })),
        conditions: committed ? [condition] : [],
      },
    });
  }

  async function start(nodeName: string): Promise<void> {
    const podIp = {
      route: async (addresses: KeptAddresses) => {
        routed.push(addresses);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer instanceof Error) throw answer;
        return { changed: [], failed: [], waiting: [], ...answer };
      },
      release: async (check: (address: string) => boolean | Promise<boolean>) => {
        isKept = check;
        return [];
      },
      reserve: async (addresses: readonly string[]) => void reserved.push(addresses),
      reserveMissing: async () => [],
      prune: async (isThere: (uid: string) => boolean) => void pruned.push(isThere('a')),
      listen: (listener: () => void) => (wake = listener),
    };
    const log = pino(
      { level: 'error' },
      { write: (line) => void logged.push(JSON.parse(line) as object) },
    );
    const keeper = new AddressKeeper({ api, clock: realClock, log, nodeName, journal, podIp });
    void keeper.informer.run(stop.signal);
    void keeper.run(stop.signal);
    await expect.poll(() => routed.length).toBeGreaterThan(0);
  }

  it('routes what is here to the pod, and what is elsewhere to its node', async () => {
    put('a', 'w1', '10.88.2.5', true);
    put('b', 'w2', '10.88.1.5', true);
    await start('w1');
    expect(routed).toEqual([
      {
        here: [{ podUid: 'a', nodeName: 'w1', addresses: ['10.88.2.5'] }],
        elsewhere: [{ address: '10.88.1.5', via: '10.77.0.12' }],
        unknown: [],
      },
    ]);
    expect(pruned).toEqual([true]);
  });

  it('knows the decision from the journal at once, and from nothing before', async () => {
    put('b', 'w2', '10.88.1.5', false);
    await start('w1');
    expect(routed).toEqual([{ here: [], elsewhere: [], unknown: [] }]);
    expect(await isKept('10.88.1.5')).toBe(true);
    const entry = {
      ...{ version: 1, id: 'request-b', role: 'source', kind: 'MigrationRequest' },
      ...{ namespace: 'default', name: 'm', pod: 'a', podUid: 'a', stage: 'Sent' },
      ...{ containers: [], steps: [], decided: 'Committed' },
    } as Entry;
    await journal.put(entry);
    await expect.poll(() => routed.at(-1)?.elsewhere.length).toBe(1);
  });

  it('takes a source that may move for the owner of its address, as of the moment it is asked', async () => {
    await start('w1');
    expect(await isKept('10.88.1.9')).toBe(false);
    const entry = {
      ...{ version: 1, id: 'r', role: 'source', kind: 'MigrationRequest', stage: 'Locking' },
      ...{ namespace: 'default', name: 'm', pod: 'a', podUid: 'a', containers: [], steps: [] },
      addresses: ['10.88.1.9'],
    } as Entry;
    await journal.put(entry);
    expect(await isKept('10.88.1.9')).toBe(true);
    // Whoever has removed the reservation: before the source's sandbox goes there is one again.
    await expect.poll(() => reserved.at(-1)).toEqual(['10.88.1.9']);
    await journal.put({ ...entry, stage: 'Resumed' });
    expect(await isKept('10.88.1.9')).toBe(false);
    await expect.poll(() => reserved.at(-1)).toEqual([]);
  });

  it('goes on keeping what has moved away while the kubelet there is late', async () => {
    put('b', 'w2', '10.88.1.5', true, []);
    const entry = {
      ...{ version: 1, id: 'request-b', role: 'source', kind: 'MigrationRequest', stage: 'Gone' },
      ...{ namespace: 'default', name: 'm', pod: 'a', podUid: 'a', containers: [], steps: [] },
      ...{ decided: 'Committed', addresses: ['10.88.1.5'] },
    } as Entry;
    await journal.put(entry);
    await start('w1');
    expect(await isKept('10.88.1.5')).toBe(true);
    // Nobody routes it by what only one has said.
    expect(routed[0]).toMatchObject({ here: [], elsewhere: [] });
  });

  it('asks the API server itself before it lets go of an address', async () => {
    await start('w1');
    expect(await isKept('10.88.1.5')).toBe(false);
    // The watch has not said it.
    put('b', 'w2', '10.88.1.5', false);
    wake();
    await expect.poll(() => routed.length).toBe(2);
    expect(await isKept('10.88.1.5')).toBe(true);
  });

  it('lets go of no address while the API server does not answer', async () => {
    await start('w1');
    wake();
    await expect.poll(() => routed.length).toBe(2);
    api.reachable = false;
    await expect(async () => isKept('10.88.1.5')).rejects.toThrow('ECONNREFUSED');
  });

  it('looks again at once when a sandbox has got an address, and soon while one is missing', async () => {
    put('a', 'w1', '10.88.2.5', true);
    answers = [{ waiting: ['10.88.2.5'] }, { waiting: ['10.88.2.5'] }, {}];
    await start('w1');
    await expect.poll(() => routed.length).toBe(3);
    wake();
    await expect.poll(() => routed.length).toBe(4);
  });

  it('says what fails once, and repeats it', async () => {
    put('a', 'w1', '10.88.2.5', true);
    const failed: AddressFailure[] = [{ address: '10.88.2.5', code: 'X', message: 'no way' }];
    answers = [{ failed }, { failed }, {}];
    await start('w1');
    await expect.poll(() => routed.length).toBe(3);
    expect(logged).toMatchObject([{ address: '10.88.2.5', code: 'X', detail: 'no way' }]);
    expect(logged).toHaveLength(1);
  });

  it('reserves and lets go also while it cannot route', async () => {
    answers = [new Error('no routes')];
    await start('w1');
    await expect.poll(() => pruned.length).toBeGreaterThan(0);
    expect(await isKept('10.88.1.9')).toBe(false);
  });

  it('leaves an address alone while it cannot tell where its node is, and no other', async () => {
    put('b', 'w3', '10.88.1.5', true);
    put('c', 'w2', '10.88.1.6', true);
    await start('w1');
    expect(routed).toEqual([
      {
        here: [],
        elsewhere: [{ address: '10.88.1.6', via: '10.77.0.12' }],
        unknown: ['10.88.1.5'],
      },
    ]);
    expect(await isKept('10.88.1.9')).toBe(false);
    await expect.poll(() => logged).toMatchObject([{ code: 'NodeUnreachable' }]);
  });
});
