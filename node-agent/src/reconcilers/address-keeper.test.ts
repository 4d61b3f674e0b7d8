// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import { nodes, pods, realClock } from '../../../kube/src/index.ts';
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
  let isKept: (address: string) => boolean;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-keeper-'));
    api = new QuietApi();
    ({ journal } = await Journal.open(dir));
    stop = new AbortController();
    routed = [];
    const status = { addresses: [{ type: 'InternalIP', address: '10.77.0.12' }] };
    api.put(nodes, { metadata: { name: 'w2', namespace: '', uid: 'n' }, status });
  });
  afterEach(() => {
    stop.abort();
    rmSync(dir, { recursive: true });
  });

  function put(uid: string, node: string, ip: string, committed: boolean): void {
    const condition = { type: podConditions.committed, status: 'True' };
    api.put(pods, {
      metadata: {
        ...{ name: uid, namespace: 'default', uid },
        labels: { [labels.podIp]: 'kept' },
        annotations: { [annotations.requestUid]: `request-${uid}`, [annotations.podIp]: ip },
      },
      spec: { nodeName: node },
      status: { podIPs: [{ ip }], conditions: committed ? [condition] : [] },
    });
  }

  async function start(nodeName: string): Promise<void> {
    const podIp = {
      route: async (addresses: KeptAddresses) => void routed.push(addresses),
      release: async (check: (address: string) => boolean) => void (isKept = check),
      reserveMissing: async () => [],
    };
    const log = pino({ level: 'silent' });
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
      },
    ]);
  });

  it('knows the decision from the journal at once, and from nothing before', async () => {
    put('b', 'w2', '10.88.1.5', false);
    await start('w1');
    expect(routed).toEqual([{ here: [], elsewhere: [] }]);
    expect(isKept('10.88.1.5')).toBe(true);
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
    expect(isKept('10.88.1.9')).toBe(false);
    const entry = {
      ...{ version: 1, id: 'r', role: 'source', kind: 'MigrationRequest', stage: 'Locking' },
      ...{ namespace: 'default', name: 'm', pod: 'a', podUid: 'a', containers: [], steps: [] },
      addresses: ['10.88.1.9'],
    } as Entry;
    await journal.put(entry);
    expect(isKept('10.88.1.9')).toBe(true);
    await journal.put({ ...entry, stage: 'Resumed' });
    expect(isKept('10.88.1.9')).toBe(false);
  });

  it('leaves an address alone while it cannot tell where its node is', async () => {
    put('b', 'w3', '10.88.1.5', true);
    await start('w1');
    expect(routed).toEqual([{ here: [], elsewhere: [] }]);
  });
});
