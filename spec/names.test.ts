// SPDX-License-Identifier: Apache-2.0
// The columns report, fault points and model: each name is in a row of the process that has that step, fault point or transition.
// source-walk.test.ts and target-walk.test.ts check which of them the agents pass.
import { describe, expect, it } from 'vitest';
import { stepOf } from '../node-agent/src/reconcilers/source/steps.ts';
import * as seen from './observe.ts';
import { rowsOf } from './protocol.ts';
import { read } from './repository.ts';
import { anotherNode } from './steps/another-node.ts';
import { memory } from './steps/memory.ts';
import { both, type Row } from './steps/row.ts';

const all = seen.namedRows;
const migration: readonly Row[] = rowsOf('MigrationRequest');
const stagesOf = (row: Row): readonly string[] => (row.by === 'operator' ? [] : both(row.stage));
const statesOf = (row: Row): readonly string[] =>
  row.by === 'operator' ? [] : both<string>(row.state);

describe('the report', () => {
  it.each(Object.entries(stepOf))('times the source’s stage %s', (stage, { step, state }) => {
    const row = migration.find((one) => one.by === 'source agent' && stagesOf(one)[0] === stage);
    expect(row?.report).toEqual([step]);
    expect(row && statesOf(row)[0]).toBe(state);
  });

  const restore = all.filter(([kind, , row]) => kind === 'RestoreRequest' && row.by !== 'operator');
  it.each(restore)('times a step of a %s as that of a migration: %s', (_kind, _name, row) => {
    const by = row.by === 'image sender' ? 'source agent' : row.by;
    const same = migration.find(
      (one) =>
        one.by === by &&
        one.effect === row.effect &&
        statesOf(one).join() === statesOf(row).join() &&
        (by === 'source agent' || stagesOf(one).join() === stagesOf(row).join()),
    );
    expect(row.report).toEqual(same?.report);
  });
});

describe('a fault point', () => {
  const owners: Record<string, readonly Row['by'][]> = {
    source: ['source agent', 'checkpoint agent'],
    checkpoint: ['checkpoint agent'],
    images: ['image sender'],
    target: ['target agent'],
    receiver: ['target agent'],
    operator: ['operator'],
  };
  /** The step that the plugin or the driver fails. NAKs are none of a dump or a restore. */
  const native = /^(?:driver\.)?(dump|restore|hold|resume)[._](?!nak)|^driver\.(hold|resume)$/;

  it.each(all)('of a %s is its owner’s: %s', (_kind, _name, row) => {
    for (const point of row.faults ?? []) {
      const by = owners[point.split('.')[0] ?? ''];
      if (by) expect(by, point).toContain(row.by);
      const step = native.exec(point);
      if (step) expect(row.report, point).toContain(step[1] ?? step[2]);
    }
  });

  /** Points of the programs that call the agent, and of what answers them, by the state in which they call. */
  const callers: Record<string, RegExp> = {
    Preparing: /^(shim\.add|cni\.(before|after|device))$/,
    AtCreateGate: /^(shim\.create|target\.createGate)$/,
    Receiving: /^receiver\./,
    Restoring: /^shim\.(mark|keep)$/,
  };

  it.each(all)('of the agent’s callers in a %s fits the state: %s', (_kind, _name, row) => {
    for (const point of row.faults ?? []) {
      const state = Object.keys(callers).find((one) => callers[one]?.test(point));
      if (state) expect(statesOf(row), point).toContain(state);
      if (/^(shim|cni)\.del$/.test(point)) expect(row.effect).toBe('DeleteTarget');
    }
  });

  const short: Record<string, string> = {
    AddFinalizer: 'finalizer',
    RemoveFinalizer: 'finalizer',
    ProposeAbort: 'abort',
    CreateRestoreRequest: 'create-restore',
  };
  const kebab = (name: string): string =>
    name.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
  const byOperator = all.filter(([, , row]) => row.by === 'operator');
  it.each(byOperator)('of the operator of a %s has the effect’s name: %s', (kind, _name, row) => {
    const { effect } = row;
    const own = effect ? `operator.${short[effect] ?? kebab(effect)}` : 'operator.status';
    const points = row.faults?.filter((point) => point.startsWith('operator.'));
    // The operator writes its choice of a node before it creates the pod.
    const status = effect === 'CreateTarget' ? ['operator.status'] : [];
    expect(points, kind).toEqual([...status, own]);
  });

  const checkpoint = all.filter(([, , row]) => row.by === 'checkpoint agent' && row.report);
  it.each(checkpoint)('of a %s is that of a migration’s step: %s', (_kind, _name, row) => {
    const same = migration.filter(
      (one) => one.by === 'source agent' && one.report?.join() === row.report?.join(),
    );
    expect(same.flatMap(({ faults }) => faults ?? [])).toEqual(
      expect.arrayContaining([...(row.faults ?? [])]),
    );
  });

  const restored = all.filter(([kind, , row]) => kind === 'RestoreRequest' && row.faults);
  it.each(restored)('of a %s is not that of another step: %s', (_kind, _name, row) => {
    const isSame = (one: Row): boolean =>
      one.by === row.by &&
      one.effect === row.effect &&
      statesOf(one).join() === statesOf(row).join();
    for (const point of row.faults ?? []) {
      const others = migration.filter((one) => one.faults?.includes(point));
      if (others.length > 0) expect(others.some(isSame), point).toBe(true);
    }
  });
});

describe('a label of the model', () => {
  const model = read('spec/handover.pml');
  const labels = new Set(
    [...model.matchAll(/\[((?:source|target|operator)\.\w+)\]/g)].map((found) => found[1]),
  );
  const effects = new Set(migration.flatMap(({ effect }) => effect ?? []));
  /** The fault point of the same part of an effect. */
  const parts: Record<string, string> = {
    UnlockNetwork: 'unlock',
    ThawTasks: 'thaw',
    ResumeDevice: 'resume',
  };
  /** What the model lets fail, and why. */
  const causes = ['Fail', 'DamageImages', 'FindDamage', 'Cancel'];

  /** Whether a transition of this name is part of a row. */
  function belongs(actor: string, name: string, row: Row): boolean {
    const part = parts[name];
    const published = /^(?:Publish|Wait)(\w+)$/.exec(name)?.[1];
    const recorded = /^Record(\w+)$/.exec(name)?.[1];
    if (part) return row.faults?.some((point) => point === `${actor}.${part}`) ?? false;
    if (causes.includes(name)) return row.effect === 'ProposeAbort';
    if (published) return statesOf(row).includes(published);
    if (recorded) return stagesOf(row).includes(recorded);
    if (name === 'ReceiveImages') return statesOf(row).includes('Receiving');
    // CRIU goes on with what the agent has begun.
    if (name === 'StartRestore') return statesOf(row).includes('Restoring');
    return effects.has(name as never) && row.effect === name;
  }

  // The model has one node that can take the target, and it has the memory for it.
  const ofAnotherNode = new Set<Row>([...anotherNode, ...memory]);
  const isModelled = (kind: string, row: Row): boolean =>
    kind === 'MigrationRequest' && !ofAnotherNode.has(row);
  const labelled = all.filter(([kind, , row]) => isModelled(kind, row));
  it.each(labelled)('of a %s names a part of its row: %s', (_kind, _name, row) => {
    const actor = row.by.split(' ')[0] ?? '';
    const own = `${actor}.${row.effect ?? ''}`;
    if (labels.has(own)) expect(row.model).toContain(own);
    for (const label of row.model ?? []) {
      const [who = '', name = ''] = label.split('.');
      expect(who).toBe(actor);
      expect(belongs(who, name, row), label).toBe(true);
    }
  });

  const others = all.filter(([kind, , row]) => !isModelled(kind, row));
  it.each(others)('is no part of a %s: %s', (_kind, _name, row) => {
    expect(row.model).toBeUndefined();
  });
});
