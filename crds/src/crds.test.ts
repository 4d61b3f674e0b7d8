// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { drift } from '../generate.ts';
import {
  CheckpointRequest,
  conditionTypes,
  isFinished,
  MigrationPolicy,
  MigrationRequest,
  reasons,
  RestoreRequest,
  secondsOfStep,
  stepDefaults,
  stepExceeded,
  type LimitedStep,
} from './index.ts';
import { definition, kinds } from './definition.ts';
import { toStructural } from './structural.ts';

describe('the generated definitions', () => {
  it('are up to date with the schemas', () => {
    expect(drift()).toEqual([]);
  });

  it('fail on drift', () => {
    const kind = kinds[0];
    if (!kind) throw new Error('no kinds');
    const other = { ...kind, spec: z.object({ other: z.string() }) };
    expect(JSON.stringify(definition(other))).not.toEqual(JSON.stringify(definition(kind)));
  });

  it('name every selectable field in the schema', () => {
    for (const kind of kinds) {
      const { spec, status = z.object({}) } = kind;
      const root = { spec: toStructural(spec), status: toStructural(status) };
      for (const path of kind.selectable) {
        const [, top, ...rest] = path.split('.');
        let node: unknown = root[top as 'spec' | 'status'];
        for (const name of rest)
          node = (node as { properties: Record<string, unknown> }).properties[name];
        expect(node, `${kind.kind} ${path}`).toMatchObject({ type: 'string' });
      }
    }
  });
});

describe('kubectl explain', () => {
  interface Node {
    readonly description?: string;
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
  }
  function* fields(node: Node, path: string): Generator<readonly [string, string | undefined]> {
    yield [path, node.description];
    for (const [name, child] of Object.entries(node.properties ?? {}))
      yield* fields(child, `${path}.${name}`);
    for (const [name, child] of Object.entries(node.items?.properties ?? {}))
      yield* fields(child, `${path}[].${name}`);
  }

  it.each(kinds)('has a sentence for every field of a $kind', (kind) => {
    const all = [
      ...fields(toStructural(kind.spec), 'spec'),
      ...(kind.status ? fields(toStructural(kind.status), 'status') : []),
    ];
    expect(all.length).toBeGreaterThan(20);
    const without = all.filter(([, text]) => !/^[A-Z0-9h].*\.$/s.test(text ?? ''));
    expect(without.map(([path]) => path)).toEqual([]);
  });
});

describe('kubectl get', () => {
  it('shows what people ask first of a MigrationRequest', () => {
    const shown = kinds[0]?.columns.filter(({ priority }) => priority === undefined);
    expect(shown?.map(({ name }) => name)).toEqual([
      ...['Pod', 'From', 'To', 'Phase', 'Blackout ms', 'Age', 'Message'],
    ]);
  });
});

describe('the examples', () => {
  const schemas = { MigrationPolicy, MigrationRequest, CheckpointRequest, RestoreRequest };
  const directory = join(import.meta.dirname, '..', 'examples');

  it('are one of each kind, and use no field that does not exist', () => {
    const seen = readdirSync(directory).map((name) => {
      const object = parse(readFileSync(join(directory, name), 'utf8')) as {
        kind: keyof typeof schemas;
        spec: object;
      };
      expect(schemas[object.kind].parse(object).spec).toMatchObject(object.spec);
      return object.kind;
    });
    expect(seen.sort()).toEqual(Object.keys(schemas).sort());
  });
});

describe('toStructural', () => {
  it('drops bounds that only restate a 53-bit integer, keeps others', () => {
    expect(toStructural(z.object({ a: z.int(), b: z.int().min(1).max(5) }))).toEqual({
      type: 'object',
      required: ['a', 'b'],
      properties: { a: { type: 'integer' }, b: { type: 'integer', minimum: 1, maximum: 5 } },
    });
  });

  it('refuses unions', () => {
    expect(() => toStructural(z.object({ a: z.union([z.string(), z.number()]) }))).toThrow(
      '/a: anyOf is not structural',
    );
  });
});

describe('a MigrationRequest', () => {
  it('gets its defaults', () => {
    const request = MigrationRequest.parse({ metadata: { name: 'a' }, spec: { podName: 'p' } });
    expect(request.spec).toEqual({
      podName: 'p',
      cancel: false,
      dryRun: false,
      onSourceLoss: 'Fail',
      timeouts: { prepareSeconds: 300, blackoutSeconds: 100 },
    });
  });

  it('refuses a pod name that is no DNS name', () => {
    const parsed = MigrationRequest.safeParse({
      metadata: { name: 'a' },
      spec: { podName: 'A_b' },
    });
    expect(parsed.success).toBe(false);
  });

  it('drops fields that this version does not know', () => {
    const request = MigrationRequest.parse({
      metadata: { name: 'a' },
      spec: { podName: 'p', later: 1 },
    });
    expect(request.spec).not.toHaveProperty('later');
  });
});

describe('the limit of a step', () => {
  const parse = (timeouts: object) =>
    MigrationRequest.safeParse({ metadata: { name: 'a' }, spec: { podName: 'p', timeouts } });

  it('is its default, and never more than the blackout', () => {
    const all = { blackoutSeconds: 100 };
    expect(secondsOfStep(all, 'dump')).toBe(stepDefaults.dump);
    expect(secondsOfStep({ ...all, dumpSeconds: 7 }, 'dump')).toBe(7);
    expect(secondsOfStep({ blackoutSeconds: 5 }, 'dump')).toBe(5);
    expect(Math.max(...Object.values(stepDefaults))).toBeLessThanOrEqual(100);
  });

  it.each(Object.keys(stepDefaults))('%s does not exceed the blackout', (step) => {
    expect(parse({ blackoutSeconds: 5, [`${step}Seconds`]: 5 }).success).toBe(true);
    const result = parse({ blackoutSeconds: 5, [`${step}Seconds`]: 6 });
    expect(result.error?.issues[0]?.message).toBe(
      `timeouts.${step}Seconds must not exceed timeouts.blackoutSeconds`,
    );
  });

  it('has a reason of its own when it is exceeded', () => {
    for (const step of Object.keys(stepDefaults) as LimitedStep[]) {
      const { code, message } = stepExceeded(step, 9);
      expect(Object.keys(reasons)).toContain(code);
      expect(message).toMatch(`spec.timeouts.${step}Seconds`);
      expect(message).toMatch('9 s');
    }
  });
});

describe('conditions', () => {
  it('end with the summary', () => {
    for (const types of Object.values(conditionTypes)) {
      expect(types.slice(-2)).toEqual(['Failed', 'Succeeded']);
    }
  });

  it('say when a request has finished', () => {
    const condition = { type: 'Succeeded', reason: 'X', message: '', lastTransitionTime: '' };
    expect(isFinished({})).toBe(false);
    expect(isFinished({ status: { conditions: [{ ...condition, status: 'Unknown' }] } })).toBe(
      false,
    );
    expect(isFinished({ status: { conditions: [{ ...condition, status: 'False' }] } })).toBe(true);
  });

  it('have reasons that the API accepts', () => {
    for (const reason of Object.keys(reasons)) expect(reason).toMatch(/^[A-Z][A-Za-z0-9]*$/);
  });
});
