// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import { pods, realClock } from '../../../kube/src/index.ts';
import { Journal, type Entry } from '../support/journal/journal.ts';
import { MemoryApi } from '../testing/api.ts';
import { FabricAddressKeeper } from './fabric-address-keeper.ts';

/** Its watch says nothing. */
class QuietApi extends MemoryApi {
  override async *watch(): AsyncIterable<never> {
    await new Promise(() => undefined);
  }
}

describe('the keeper of addresses in the RDMA network', () => {
  let dir: string;
  let api: QuietApi;
  let journal: Journal;
  let stop: AbortController;
  let reserved: readonly string[][];
  let isKept: (address: string) => boolean;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-keeper-'));
    api = new QuietApi();
    ({ journal } = await Journal.open(dir));
    stop = new AbortController();
    reserved = [];
  });
  afterEach(() => {
    stop.abort();
    rmSync(dir, { recursive: true });
  });

  function put(
    uid: string,
    ips: string,
    more: { node?: string; phase?: string; on?: object } = {},
  ) {
    const { node = 'w2', phase = 'Running', on = {} } = more;
    const condition = { type: podConditions.committed, status: 'True' };
    api.put(pods, {
      metadata: {
        ...{ name: uid, namespace: 'default', uid, labels: { [labels.fabricIp]: 'kept' } },
        annotations: { [annotations.fabricIp]: ips, ...on },
      },
      spec: { nodeName: node },
      status: { phase, podIPs: [], conditions: uid.startsWith('target') ? [] : [condition] },
    });
  }

  async function start(): Promise<void> {
    const addresses = {
      release: async (check: (address: string) => boolean) => void (isKept = check),
      reserveMissing: async (all: readonly string[]) => {
        reserved = [...reserved, [...all]];
        return [];
      },
    };
    const log = pino({ level: 'silent' });
    const parts = { api, clock: realClock, log, nodeName: 'w1', journal, addresses };
    const keeper = new FabricAddressKeeper(parts);
    void keeper.informer.run(stop.signal);
    void keeper.run(stop.signal);
    await expect.poll(() => reserved.length).toBeGreaterThan(0);
  }

  it('keeps what moved pods have, wherever they are, until they end', async () => {
    put('a', '10.0.0.5,fd00::5');
    put('b', '10.0.0.6', { node: 'w1' });
    put('c', '10.0.0.7', { phase: 'Succeeded' });
    put('d', 'x,,10.0.0.8');
    put('e', '10.0.0.9', { on: { [annotations.mirror]: '1' } });
    put('target', '10.0.0.10');
    await start();
    const all = [
      '10.0.0.5',
      'fd00::5',
      '10.0.0.6',
      '10.0.0.7',
      '10.0.0.8',
      '10.0.0.9',
      '10.0.0.10',
    ];
    const kept = ['10.0.0.5', 'fd00::5', '10.0.0.6', '10.0.0.8', '10.0.0.10'];
    expect(all.filter((one) => isKept(one))).toEqual(kept);
    // Here the CNI delegate has recorded them, and before the decision they are the source's.
    expect(reserved[0]).toEqual(['10.0.0.5', 'fd00::5', '10.0.0.8']);
  });

  it('takes a source that may move for the owner of its address, as of the moment it is asked', async () => {
    await start();
    expect(isKept('10.0.0.5')).toBe(false);
    const entry = {
      ...{ version: 1, id: 'r', role: 'source', kind: 'MigrationRequest', stage: 'Locking' },
      ...{ namespace: 'default', name: 'm', pod: 'a', podUid: 'a', containers: [], steps: [] },
      fabricAddresses: ['10.0.0.5'],
    } as Entry;
    await journal.put(entry);
    expect(isKept('10.0.0.5')).toBe(true);
    await expect.poll(() => reserved.length).toBeGreaterThan(1);
    await journal.put({ ...entry, stage: 'Resumed' });
    expect(isKept('10.0.0.5')).toBe(false);
  });
});
