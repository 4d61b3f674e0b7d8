// SPDX-License-Identifier: Apache-2.0
// A target whose node has too little memory for its pod, before the source may be locked.
import { describe, expect, it } from 'vitest';
import { neededBytes, type NodeMemory } from '../../../../crds/src/index.ts';
import { TARGET_UID, migration } from '../../testing/objects.ts';
import {
  arrive,
  create,
  images,
  put,
  remember,
  run,
  runs,
  state,
  status,
} from '../../testing/target-agent.ts';
import { memoryRefusal } from './memory-look.ts';

const GIB = 2 ** 30;
const holds = (available: number): NodeMemory => ({
  ...{ available, hugePages: new Map(), keepsImages: false },
});
const needs = { bytes: 2 * GIB };
const enough = neededBytes(needs.bytes);
const placed = { nodeName: 'node-b', podName: 'app-2', podUID: TARGET_UID };
const found = { target: { ...placed, memory: needs }, deadlines: {} };

describe('a target at its create gate', () => {
  it('says how much its node lacks, and nothing may begin', async () => {
    put(found);
    remember(holds(enough - 1));
    void create();
    await run();
    expect(status()?.targetAgent).toMatchObject({
      ...{ state: 'Preparing', reason: 'NotEnoughMemory', refuses: TARGET_UID },
      message: expect.stringMatching(
        /^Node node-b has 2\.2 GiB \(2415919103 bytes\) .* need 2\.3 GiB/,
      ) as string,
    });
    expect(status()?.decision, 'the operator may try another node').toBeUndefined();
  });

  it('goes on once the memory is there', async () => {
    put(found);
    remember(holds(0));
    void create();
    await run();
    remember(holds(enough));
    await run();
    expect(status()?.targetAgent).toMatchObject({ state: 'AtCreateGate' });
    expect(status()?.targetAgent).not.toHaveProperty('refuses');
    expect(status()?.targetAgent).not.toHaveProperty('message');
  });

  it('goes by what the pod has come to since', async () => {
    put({ ...found, sourceAgent: { state: 'Waiting', memory: { bytes: 3 * GIB } } });
    remember(holds(enough));
    void create();
    await run();
    expect(status()?.targetAgent?.message).toMatch(/need 3\.3 GiB/);
  });

  it('refuses nothing once the source may be locked', async () => {
    put({ ...found, deadlines: { blackout: '2016-01-01T00:01:40.000000Z' } });
    remember(holds(0));
    void create();
    await run();
    expect(state()).toBe('AtCreateGate');
    await images();
    await runs();
    expect(state()).toBe('Restoring');
  });

  it.each([
    ['of a node that does not say', undefined, found],
    ['of a pod that nobody has measured', holds(0), { deadlines: {} }],
  ])('is as before, %s', async (_name, memory, change) => {
    put(change);
    remember(memory);
    void create();
    await run();
    expect(state()).toBe('AtCreateGate');
  });
});

describe('others on their way to the node', () => {
  const other = (change: object = {}, metadata: object = {}) =>
    migration(
      {
        target: { ...placed, memory: { bytes: GIB } },
        targetAgent: { state: 'Preparing' },
        ...change,
      },
      { uid: 'other', creationTimestamp: '2026-01-01T00:00:00Z', ...metadata },
    );
  const measured = { state: 'Waiting', memory: { bytes: GIB } };
  const own = migration(
    { target: { ...placed, memory: needs } },
    { creationTimestamp: '2026-01-01T00:00:01Z' },
  );
  const refused = (...arriving: ReturnType<typeof other>[]) =>
    memoryRefusal(own, {
      nodeName: 'node-b',
      memory: async () => holds(enough),
      arriving: () => [own, ...arriving],
    });

  it.each<[string, object, object, boolean]>([
    ['have it first, if they are older', {}, {}, true],
    ['do not, if they are younger', {}, { creationTimestamp: '2026-01-01T00:00:02Z' }, false],
    [
      'do, if their source may be locked already',
      { deadlines: { blackout: '2026-01-01T00:00:09Z' } },
      { creationTimestamp: '2026-01-01T00:00:02Z' },
      true,
    ],
    ['do while they are restored', { targetAgent: { state: 'Restoring' } }, {}, true],
    ['have taken it once they are restored', { targetAgent: { state: 'AtResumeGate' } }, {}, false],
    [
      'need none any more once they are decided',
      { decision: { outcome: 'Aborted', by: 'x', time: '', reason: 'x', message: '' } },
      {},
      false,
    ],
    ['need none that nobody has measured', { target: placed }, {}, false],
    [
      'get none as long as the operator has found none for them',
      { target: { nodeName: 'node-b', podName: 'app-2' }, sourceAgent: measured },
      {},
      false,
    ],
    [
      'get it if their pod is there, though the operator has not asked',
      { target: placed, sourceAgent: measured },
      {},
      true,
    ],
    [
      'leave it to others once their pod was given up',
      { triedNodes: [{ nodeName: 'node-b', podUID: TARGET_UID, reason: 'x', message: '' }] },
      {},
      false,
    ],
    [
      'do not for a pod that was given up before theirs',
      { triedNodes: [{ nodeName: 'node-b', podUID: 'before', reason: 'x', message: '' }] },
      {},
      true,
    ],
  ])('%s', async (_name, change, metadata, isRefused) => {
    expect((await refused(other(change, metadata))) !== undefined).toBe(isRefused);
  });

  it.each([
    ['nothing yet', 0, GIB],
    ['a part of it', GIB / 4, GIB - GIB / 4],
    ['all of it', GIB, 0],
    ['more than was found for them', 2 * GIB, 0],
  ])('take what they do not have already: %s', async (_name, has, taken) => {
    const restoring = other({ targetAgent: { state: 'Restoring' } });
    const asked: string[] = [];
    const look = (available: number) =>
      memoryRefusal(own, {
        nodeName: 'node-b',
        memory: async () => holds(available),
        arriving: () => [own, restoring],
        arrived: async (podUid) => {
          asked.push(podUid);
          return has;
        },
      });
    expect(await look(enough + taken)).toBeUndefined();
    expect(await look(enough + taken - 1)).toMatch(/^Node node-b has /);
    expect(new Set(asked)).toEqual(new Set([TARGET_UID]));
  });

  it('never lack it for each other: of two that wait one gets it', async () => {
    const same = other({}, { uid: 'a', creationTimestamp: '2026-01-01T00:00:01Z' });
    const parts = { nodeName: 'node-b', memory: async () => holds(neededBytes(2 * GIB)) };
    const arriving = () => [own, same];
    const both = await Promise.all(
      arriving().map((one) => memoryRefusal(one, { ...parts, arriving })),
    );
    expect(both.filter((one) => one === undefined)).toHaveLength(1);
  });

  it('are those that the agent knows', async () => {
    put(found);
    arrive([other({}, { creationTimestamp: '2000-01-01T00:00:00Z' })]);
    remember(holds(enough));
    void create();
    await run();
    expect(state()).toBe('AtCreateGate');
    put({ ...found });
    arrive([other({ deadlines: { blackout: '2016-01-01T00:00:00Z' } })]);
    await run();
    expect(status()?.targetAgent?.message).toMatch(/pods on their way there take 1 GiB/);
  });
});
