// SPDX-License-Identifier: Apache-2.0
// What the operator asks the API server to tell it about, with an API that only records that.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { labels } from '../../crds/src/index.ts';
import {
  ApiError,
  silent,
  type Api,
  type ListOptions,
  type Resource,
  type Selection,
} from '../../kube/src/index.ts';
import { accepted, decision, migration, restore, succeeded } from '../testing/objects.ts';
import { Operator, podsOf, type OperatorOptions } from './operator.ts';

describe('pods that are watched by name', () => {
  const committed = { decision: decision('Committed') };
  const gated = { targetAgent: { state: 'AtCreateGate' } };
  const restored = {
    source: { nodeName: 'a', podName: 'p' },
    target: { nodeName: 'b', podName: 'p-new' },
  };
  it.each<[string, Parameters<typeof podsOf>[0], string[]]>([
    ['none of a request that is not accepted', migration(), []],
    ['the source', accepted(), ['default/p']],
    [
      'source and target once the target has its labels',
      accepted(committed),
      ['default/p', 'default/p-reque'],
    ],
    [
      'the source until an abort is confirmed',
      accepted({ decision: decision('Aborted') }),
      ['default/p'],
    ],
    ['both once the target is prepared', accepted(gated), ['default/p', 'default/p-reque']],
    ['none of a finished request', accepted({ conditions: [succeeded('True', 'Moved')] }), []],
    ['none of a deleted request', undefined, []],
    [
      'none of a restore that is not prepared, whose target the label shows',
      restore({ status: restored }),
      [],
    ],
    [
      'the target of a restore that is prepared',
      restore({ status: { ...restored, ...gated } }),
      ['default/p-new'],
    ],
    [
      'the target of a committed restore',
      restore({ status: { ...restored, ...committed } }),
      ['default/p-new'],
    ],
  ])('%s', (_name, request, wanted) => {
    expect(podsOf(request)).toEqual(wanted);
  });
});

/**
 * Runs the operator until it has synced.
 * @returns what it has asked about pods: verb, namespace, field and label selector
 */
async function askedAboutPods(options: Partial<OperatorOptions>, count: number): Promise<string[]> {
  const asked = new Set<string>();
  const note = (verb: string, { kind }: Resource<unknown>, selection: Selection): void => {
    const { namespace = '*', fieldSelector = '', labelSelector = '' } = selection;
    if (kind === 'Pod') asked.add([verb, namespace, fieldSelector, labelSelector].join(' ').trim());
  };
  const objects: Record<string, unknown[]> = {
    MigrationRequest: [accepted(), migration({ metadata: { name: 'later', uid: 'later' } })],
  };
  const notFound = (): Promise<never> => Promise.reject(new ApiError(404, 'NotFound', 'gone'));
  const api = {
    list: (resource: Resource<unknown>, selection: ListOptions) => {
      note('list', resource, selection);
      return Promise.resolve({ items: objects[resource.kind] ?? [], resourceVersion: '1' });
    },
    async *watch(resource: Resource<unknown>, _version: string, selection: Selection) {
      note('watch', resource, selection);
      await sleep(60_000, undefined, { signal: selection.signal }).catch(() => undefined);
    },
    ...{ get: notFound, getRaw: notFound },
  } as unknown as Api;
  const stop = new AbortController();
  const operator = new Operator({ api, log: silent, ...options });
  const run = operator.run(stop.signal);
  await expect.poll(() => operator.problem === undefined && asked.size).toBe(count);
  await sleep(50);
  stop.abort();
  await run;
  return [...asked].sort();
}

describe('the operator', () => {
  const few = [
    `list *  ${labels.role}`,
    'list default metadata.name=p',
    `watch *  ${labels.role}`,
    'watch default metadata.name=p',
  ];

  it('follows no pods but targets and those of requests under way', async () => {
    expect(await askedAboutPods({}, 4)).toEqual(few);
  });

  it('follows the others too where evictions move pods, but none that has ended', async () => {
    const notEnded = '* status.phase!=Succeeded,status.phase!=Failed';
    expect(await askedAboutPods({ webhookConfiguration: 'sealift-evictions' }, 6)).toEqual(
      [...few, `list ${notEnded}`, `watch ${notEnded}`].sort(),
    );
  });
});
