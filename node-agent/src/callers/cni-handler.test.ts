// SPDX-License-Identifier: Apache-2.0
// The CNI calls over real nftables, macvlans, namespaces and a real journal. Making and holding an rxe device needs
// Sealift's driver: the lab's cases test it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations, labels } from '../../../crds/src/index.ts';
import { migrationRequests, nodes, pods } from '../../../kube/src/index.ts';
import { nft } from '../../../native/addon/index.ts';
import { NetworkLock } from '../node/lock/network-lock.ts';
import { Host } from '../node/host/host.ts';
import { AgentError } from '../support/errors.ts';
import type { HoldAnswer } from '../support/peers.ts';
import { Journal, type Stage } from '../support/journal/journal.ts';
import { RequestLookup } from './request-lookup.ts';
import { Restorer } from '../node/restore/restorer.ts';
import { cniRequest } from '../support/socket-protocol.ts';
import { MemoryApi } from '../testing/api.ts';
import { able, netnsPath, sh } from '../testing/namespaces.ts';
import {
  decision,
  migration,
  NAMESPACE,
  pod,
  REQUEST_UID,
  SOURCE_UID,
  targetPod,
  TARGET_UID,
} from '../testing/objects.ts';
import { Checkpointer } from '../node/dump/checkpointer.ts';
import { CniHandler } from './cni-handler.ts';
import { RdmaDriver } from '../node/device/driver.ts';

/** The real driver without the calls that need rxe. */
class DriverWithoutRxe extends RdmaDriver {
  readonly did: string[] = [];
  ifnames = ['m0'];
  /** Names that devices of this kernel have. */
  readonly taken = new Set<string>();
  override async checkNetnsMode(): Promise<void> {}
  override async create(_netns: string, name: string, netdev: string): Promise<void> {
    if (this.taken.has(name)) throw new AgentError('DeviceNameTaken', `${name} is taken.`);
    this.did.push(`create ${name} on ${netdev}`);
  }
  override async hold(_netns: string, answer?: HoldAnswer): Promise<void> {
    this.did.push(`hold ${answer?.rnrTimer}`);
  }
  override async resume(): Promise<void> {
    this.did.push('resume');
  }
  override async interfaces(): Promise<string[]> {
    return this.ifnames;
  }
}

const ns = `slt-cni${process.pid}`;
const mode = () => /macvlan mode (\w+)/.exec(sh(`ip -n ${ns} -d link show m0`))?.[1];

describe.runIf(able)('a CNI call', () => {
  let dir: string;
  let journal: Journal;
  let api: MemoryApi;
  let driver: DriverWithoutRxe;
  let cni: CniHandler;
  const lock = new NetworkLock(nft);
  const host = new Host({ root: '/' });

  beforeAll(() => {
    sh(`ip netns add ${ns}; ip -n ${ns} link add d0 type veth peer name d1
      ip -n ${ns} link set d0 up; ip -n ${ns} link set d1 up`);
  });
  afterAll(() => {
    sh(`ip netns del ${ns}`);
  });
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sealift-cni-'));
    ({ journal } = await Journal.open(dir));
    api = new MemoryApi();
    driver = new DriverWithoutRxe();
    const pods = new RequestLookup(api);
    cni = new CniHandler({
      host,
      journal,
      lock,
      driver,
      pods,
      recordPreparing: async () => undefined,
    });
    makeMacvlan('bridge');
  });
  afterEach(async () => {
    sh(`ip -n ${ns} link del m0; ip netns exec ${ns} nft flush ruleset`);
    await rm(dir, { recursive: true });
  });

  function makeMacvlan(as: string): void {
    sh(`ip -n ${ns} link del m0 2>/dev/null || true
      ip -n ${ns} link add m0 link d0 type macvlan mode ${as}; ip -n ${ns} link set m0 up`);
  }
  const request = (phase: 'before' | 'after', name: string, podUid: string, hidden?: boolean) =>
    cniRequest.parse({
      ...{ op: 'cni', phase, containerId: 'box', netns: netnsPath(ns), ifname: 'm0' },
      ...{ namespace: NAMESPACE, pod: name, podUid },
      ...(hidden === undefined ? {} : { hidden }),
    });
  const target = (phase: 'before' | 'after', hidden?: boolean) =>
    cni.handle(request(phase, 'app-2', TARGET_UID, hidden));
  const source = (phase: 'before' | 'after') => cni.handle(request(phase, 'app', SOURCE_UID));
  const restorer = () =>
    new Restorer({ host, lock, driver } as unknown as ConstructorParameters<typeof Restorer>[0]);

  it('locks a target and asks for a hidden interface until the target is resumed', async () => {
    api.put(pods, targetPod({ 'sealift.dev/rnr-timer': '7' }));
    api.put(migrationRequests, migration());
    expect(await target('before')).toEqual({ ok: true, hide: true });
    expect(await lock.isLocked(netnsPath(ns))).toBe(true);
    makeMacvlan('vepa');
    expect(await target('after', true)).toEqual({ ok: true });
    expect(await target('after', true)).toEqual({ ok: true });
    expect(mode()).toBe('vepa');
    expect(driver.did).toContain('hold 7');
    await restorer().resumePod(netnsPath(ns));
    expect(mode()).toBe('bridge');
    expect(await lock.isLocked(netnsPath(ns))).toBe(false);
    await restorer().resumePod(netnsPath(ns));
    expect(mode()).toBe('bridge');
  });

  it('lets a pod that has moved take an address that is reserved for it, and no other pod', async () => {
    const kept = { [annotations.fabricIp]: '10.0.0.5' };
    const moved = targetPod(kept);
    moved.metadata.labels[labels.fabricIp] = 'kept';
    api.put(pods, moved);
    api.put(migrationRequests, migration());
    expect(await target('before')).toEqual({ ok: true, hide: true, moved: true });
    api.put(pods, pod('app', SOURCE_UID, kept));
    expect(await source('before')).toEqual({ ok: true });
  });

  it('hides a target’s interface that the delegate has not hidden', async () => {
    api.put(pods, targetPod());
    api.put(migrationRequests, migration());
    await target('after');
    expect(mode()).toBe('vepa');
  });

  it('hides a target whose move was aborted', async () => {
    api.put(pods, targetPod());
    api.put(migrationRequests, migration({ decision: decision('Aborted') }));
    expect(await target('before')).toEqual({ ok: true, hide: true });
    await target('after');
    expect([mode(), driver.did.at(-1)]).toEqual(['vepa', 'hold 20']);
  });

  it('gives a target its own device name where the source has the wanted one on the same kernel', async () => {
    const wanted = 'rxesource';
    const node = (name: string, bootID: string) =>
      api.put(nodes, { metadata: { name }, status: { nodeInfo: { bootID } } });
    api.put(pods, targetPod({ 'sealift.dev/rdma-device': wanted }));
    api.put(migrationRequests, migration());
    driver.taken.add(wanted);
    node(targetPod().spec.nodeName, 'one');
    node('elsewhere', 'two');
    await expect(target('after')).rejects.toThrow(`${wanted} is taken`);
    node('elsewhere', 'one');
    await target('after');
    const own = `rxe${TARGET_UID.replaceAll('-', '').slice(0, 10)}`;
    expect(driver.did).toContain(`create ${own} on m0`);
    driver.taken.clear();
    await target('after');
    expect(driver.did).toContain(`create ${wanted} on m0`);
  });

  const committed = async (stage: Stage) => {
    api.put(pods, targetPod());
    api.put(migrationRequests, migration({ decision: decision('Committed') }));
    await journal.put({
      ...{ version: 1, id: REQUEST_UID, role: 'target', kind: 'MigrationRequest' },
      ...{ namespace: NAMESPACE, name: 'move', pod: 'app-2', podUid: TARGET_UID },
      ...{ stage, containers: [], steps: [] },
    });
  };

  it('hides a target that was committed and has not run', async () => {
    await committed('AtResumeGate');
    expect(await target('before')).toEqual({ ok: true, hide: true });
    expect(await lock.isLocked(netnsPath(ns))).toBe(true);
  });

  it('changes nothing for a pod whose move is over', async () => {
    await committed('Running');
    expect(await target('before')).toEqual({ ok: true });
    expect(await lock.isLocked(netnsPath(ns))).toBe(false);
    await target('after');
    expect(mode()).toBe('bridge');
    // Committed between the two calls.
    makeMacvlan('vepa');
    await target('after', true);
    expect(mode()).toBe('bridge');
  });

  it('hides no pod that is not a target', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    expect(await source('before')).toEqual({ ok: true });
    await source('after');
    expect([mode(), driver.did]).toEqual(['bridge', ['create rxe2222222222 on m0']]);
  });

  it.each([
    ['Gone', false],
    ['Freezing', false],
    ['Resumed', true],
  ] as [Stage, boolean][])(
    'lets a source that is %s have another sandbox: %s',
    async (stage, may) => {
      api.put(pods, pod('app', SOURCE_UID));
      const names = { namespace: NAMESPACE, name: 'move', pod: 'app', podUid: SOURCE_UID };
      await journal.put({
        ...{ version: 1, id: REQUEST_UID, role: 'source', kind: 'MigrationRequest' },
        ...{ ...names, stage, containers: [], steps: [] },
      });
      if (may) expect(await source('before')).toEqual({ ok: true });
      else await expect(source('before')).rejects.toMatchObject({ code: 'MovedAway' });
    },
  );

  it('silences and hides a stopped source; a namespace that is gone needs neither', async () => {
    const checkpointer = new Checkpointer({
      host,
      lock,
      driver,
    } as unknown as ConstructorParameters<typeof Checkpointer>[0]);
    await checkpointer.silenceNetwork(netnsPath(ns));
    await checkpointer.silenceNetwork(netnsPath(ns));
    expect([mode(), await lock.isLocked(netnsPath(ns))]).toEqual(['vepa', true]);
    await checkpointer.silenceNetwork(netnsPath('slt-nowhere'));
    driver.ifnames = ['gone0'];
    await checkpointer.silenceNetwork(netnsPath(ns));
  });
});
