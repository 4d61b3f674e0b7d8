// SPDX-License-Identifier: Apache-2.0
// A source that loses the TCP connections at its own IP (docs/adr/0048).
import { describe, expect, it } from 'vitest';
import { migration, pod, REQUEST_UID, SOURCE_UID } from '../../testing/objects.ts';
import { pods } from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import {
  api,
  ask,
  decide,
  dieAt,
  effects,
  journal,
  put,
  run,
  runs,
  sourceNode,
  status,
} from '../../testing/source-agent.ts';
import { connectionsOf, lostAddressesFields } from './journal-entry.ts';

const ips = ['10.1.2.3', 'fd00::3'];
const policy = { name: 'web', generation: 1 };
const kept = {
  ...{ nodeName: 'node-b', podName: 'app-2', agentAddress: '192.0.2.2:7460' },
  podIPs: [{ ip: '10.1.2.3' }],
};
const counted = () => status()?.sourceAgent?.lostConnections;
const addressed = () =>
  api.put(pods, pod('app', SOURCE_UID, {}, { podIPs: ips.map((ip) => ({ ip })) }));

describe('a source that may lose connections', () => {
  it('says how many before it is touched, and how many there were in the end', async () => {
    addressed();
    ask({ podIPConnections: 'Reset' });
    sourceNode.connections = 2;
    put();
    await run();
    expect([sourceNode.did, counted()]).toEqual([[], 2]);
    sourceNode.connections = 3;
    put();
    await run();
    expect(sourceNode.did).toEqual([...effects]);
    expect([sourceNode.clusterAddresses, sourceNode.clusterConnections]).toEqual([ips, 'Reset']);
    expect([counted(), sourceNode.manifest?.resets]).toEqual([3, ips]);
    expect(sourceNode.reset).toBeUndefined();
  });

  it('counts once while it waits: a number that changes brings no report after report', async () => {
    addressed();
    ask({ podIPConnections: 'Reset' });
    put({ targetAgent: { state: 'Preparing' } });
    for (const count of [2, 5, 7]) {
      sourceNode.connections = count;
      await run();
      put({ targetAgent: { state: 'Preparing' } });
    }
    expect(counted()).toBe(2);
  });

  it('loses none any more once a node is tried that keeps its IP', async () => {
    addressed();
    ask({ podIPConnections: 'Reset' });
    sourceNode.connections = 2;
    put();
    await run();
    expect(counted()).toBe(2);
    put({ target: kept });
    await runs();
    expect([counted(), sourceNode.did]).toEqual([undefined, [...effects]]);
  });

  it('has its peers told after Committed, also by an agent that has restarted', async () => {
    addressed();
    ask({ podIPConnections: 'Reset' });
    sourceNode.connections = 1;
    put();
    await runs();
    decide('Committed');
    await dieAt('stop.before');
    expect(sourceNode.reset).toEqual(ips);
    sourceNode.reset = undefined;
    await runs();
    expect([sourceNode.reset, sourceNode.dead]).toEqual([ips, true]);
  });

  it('tells nobody after Aborted', async () => {
    addressed();
    ask({ podIPConnections: 'Reset' });
    sourceNode.connections = 1;
    put();
    await runs();
    decide('Aborted');
    await runs();
    expect([sourceNode.reset, sourceNode.asItWas]).toEqual([undefined, true]);
  });

  it('is aborted if it has got a socket meanwhile that cannot be reset', async () => {
    addressed();
    ask({ podIPConnections: 'Reset' });
    put();
    await run();
    const error = new AgentError('UnsupportedObject', 'a UDP socket');
    sourceNode.fail = { at: 'frozen sockets', error };
    put();
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'UnsupportedObject' });
    expect(sourceNode.did).not.toContain('dump');
  });

  it.each<[string, object, object]>([
    ['says nothing', {}, {}],
    [
      'refuses',
      { podIPConnections: 'Refuse' },
      { policy: { ...policy, podIPConnections: 'Reset' } },
    ],
    ['keeps its IP', { podIPConnections: 'Reset' }, { target: kept }],
  ])('counts and resets none if the request %s', async (_name, spec, more) => {
    addressed();
    ask(spec);
    sourceNode.connections = 4;
    put(more);
    await runs();
    expect([counted(), sourceNode.manifest?.resets]).toEqual([undefined, undefined]);
    expect(journal.get(REQUEST_UID, 'source')?.resets ?? []).toEqual([]);
  });

  it('goes by its policy where the request says nothing', async () => {
    addressed();
    put({ policy: { ...policy, podIPConnections: 'Reset' } });
    await run();
    put({ policy: { ...policy, podIPConnections: 'Reset' } });
    await run();
    expect([sourceNode.clusterConnections, counted()]).toEqual(['Reset', 0]);
    // A connection that has been reset is in no table, and keeps its address for CRIU.
    expect(sourceNode.manifest?.resets).toEqual(ips);
  });

  it.each([
    ['refused', {}, { addresses: ips, connections: 'Refuse' }],
    ['kept with the IP', { target: kept }, { addresses: [], connections: 'Refuse' }],
  ])('has the address of a closed socket lent where connections are %s', async (_, more, lost) => {
    addressed();
    ask({});
    sourceNode.closed = ['10.9.9.9'];
    put(more);
    await runs();
    expect(sourceNode.lost).toEqual(lost);
    expect([counted(), sourceNode.manifest?.resets]).toEqual([undefined, ['10.9.9.9']]);
    decide('Committed');
    await runs();
    expect([sourceNode.dead, sourceNode.reset ?? []]).toEqual([true, []]);
  });
});

it('only a status that does not say how many yet is waited for', () => {
  const reset = { podIPConnections: 'Reset' };
  const of = (state: object, spec: object) => connectionsOf(migration(state, {}, spec));
  expect(of({}, reset)).toBe('due');
  expect(of({ sourceAgent: { state: 'Waiting', lostConnections: 0 } }, reset)).toBeUndefined();
  expect(of({ target: kept }, reset)).toBeUndefined();
  expect(of({ target: undefined }, reset)).toBeUndefined();
  expect(of({}, {})).toBeUndefined();
  expect(lostAddressesFields(migration({}, {}, reset), [])).toEqual({});
  expect(lostAddressesFields(migration({}, {}, reset), ips)).toEqual({
    ...{ lostAddresses: ips, resets: ips },
  });
  expect(lostAddressesFields(migration({}, {}, {}), ips)).toEqual({ lostAddresses: ips });
});
