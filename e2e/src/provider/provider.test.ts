// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run, type CommandError } from '../command.ts';
import { allCases, caseResult } from '../runner.ts';
import { Report } from '../report.ts';
import { chooseName, chooseProvider } from './choice.ts';
import { abilities, skipReason, UnableError, type Ability, type Provider } from './provider.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'provider-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('the choice', () => {
  test('is the lab without PROVIDER and KUBECONFIG', () => {
    expect(chooseName({})).toBe('lab');
    expect(chooseName({ PROVIDER: '', KUBECONFIG: '' })).toBe('lab');
  });

  test('is what PROVIDER names, whatever KUBECONFIG is', () => {
    for (const name of ['lab', 'kind', 'none'] as const)
      expect(chooseName({ PROVIDER: name, KUBECONFIG: '/somewhere' })).toBe(name);
    expect(() => chooseName({ PROVIDER: 'kund' })).toThrow('no provider kund');
  });

  test('knows the kubeconfig of lab and kind by any of its names', () => {
    const surroundings = { LAB: join(dir, 'lab'), KIND: join(dir, 'kind') };
    for (const name of ['lab', 'kind'] as const) {
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, `${name}.real`), '');
      symlinkSync(join(dir, `${name}.real`), join(dir, name, 'kubeconfig'));
      for (const KUBECONFIG of [join(dir, name, 'kubeconfig'), join(dir, `${name}.real`)])
        expect(chooseName({ ...surroundings, KUBECONFIG })).toBe(name);
    }
    expect(chooseName({ ...surroundings, KUBECONFIG: join(dir, 'mine') })).toBe('none');
  });

  test('speaks to the cluster of the chosen provider', () => {
    const KUBECONFIG = join(dir, 'mine');
    expect(chooseProvider({ PROVIDER: 'none', KUBECONFIG }).tools.kubeconfig).toBe(KUBECONFIG);
    expect(chooseProvider({ PROVIDER: 'none' }).tools.kubeconfig).toBeUndefined();
    expect(chooseProvider({ PROVIDER: 'lab', LAB: dir, KUBECONFIG }).tools.kubeconfig).toBe(
      join(dir, 'kubeconfig'),
    );
  });
});

describe('a case that needs more than the provider can', () => {
  const provider = (name: Provider['name']): Provider => chooseProvider({ PROVIDER: name });

  test('is skipped with each ability that is lacking, and why', () => {
    expect(skipReason(provider('lab'), Object.keys(abilities) as Ability[])).toBe(
      'provider lab cannot reach the address of a Service from a pod: its nodes have no kube-proxy.',
    );
    expect(skipReason(provider('none'))).toBeUndefined();
    expect(skipReason(provider('none'), ['shell', 'reset'])).toBe(
      'provider none cannot run a command on a node; provider none cannot reset a node.',
    );
    expect(skipReason(provider('kind'), ['shell', 'own-kernel'])).toBe(
      'provider kind cannot change the kernel of one node alone: all nodes of a kind cluster share one kernel.',
    );
  });

  test('fails where it does not say so', async () => {
    const none = provider('none');
    await expect(none.runOnNode('a', 'true', 1000)).rejects.toThrow(UnableError);
    await expect(none.reset('a')).rejects.toThrow('provider none cannot reset a node');
    await expect(provider('kind').startOutsidePeer()).rejects.toThrow(UnableError);
  });

  test('has the status skipped in the report, with its reason', () => {
    const seconds = 1;
    const cases = [
      { name: 'a', error: undefined, seconds },
      { name: 'b', error: new Error('one\ntwo'), seconds },
      { name: 'c', error: undefined, skipped: 'no reset.', seconds },
    ].map(caseResult);
    expect(cases).toEqual([
      { name: 'a', status: 'passed', reason: '' },
      { name: 'b', status: 'failed', reason: 'one' },
      { name: 'c', status: 'skipped', reason: 'no reset.' },
    ]);
    expect(Report.shape.cases.parse(cases)).toEqual(cases);
  });
});

describe('the cases', () => {
  test('that can run in kind are not skipped there', async () => {
    const kind = chooseProvider({ PROVIDER: 'kind' });
    const able = (await allCases()).filter((one) => !skipReason(kind, one.needs));
    const names = able.map((one) => one.name);
    for (const start of ['perftest-', 'ledger-', 'checkpoint-ledger', 'restore-', 'abort-', 'bad-'])
      expect(
        names.some((name) => name.startsWith(start)),
        start,
      ).toBe(true);
    expect(names.some((name) => name.startsWith('multi-container'))).toBe(true);
    expect(names).not.toContain('peer-outside');
  });
});

describe('the lab', () => {
  test('takes names of nodes to the numbers of lab.sh, and refuses others', () => {
    const lab = chooseProvider({ PROVIDER: 'lab' });
    expect(() => lab.runOnNode('sealift-worker', 'true', 1000)).toThrow('no node sealift-worker');
  });
});

describe('kind', () => {
  test('is served by the commands that kind.sh has', async () => {
    const script = new URL('../../kind/kind.sh', import.meta.url).pathname;
    const usage = await run(script, []).catch((error: unknown) => (error as CommandError).stderr);
    const source = readFileSync(new URL('kind.ts', import.meta.url), 'utf8');
    const used = [...source.matchAll(/command\(\['([a-z]+)'/g)].map((match) => match[1] ?? '');
    expect(new Set(used)).toEqual(
      new Set(['exec', 'load', 'link', 'reset', 'part', 'address', 'version']),
    );
    for (const name of used) expect(usage).toMatch(new RegExp(`^ +([a-z]+ \\| )?${name}\\b`, 'm'));
  });
});
