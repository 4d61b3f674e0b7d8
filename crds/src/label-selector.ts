// SPDX-License-Identifier: Apache-2.0
// metav1.LabelSelector as a schema, and whether it selects an object. Pure.
import { z } from 'zod';
import { atomicList } from './atoms.ts';

const Key = z.string().min(1).max(317);
const Value = z.string().max(63);

const Requirement = z
  .object({
    key: Key.meta({ description: 'The label that is looked at.' }),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).meta({
      description: 'How the label is compared with the values.',
    }),
    values: z
      .array(Value)
      .max(64)
      .optional()
      .meta({
        description: 'The values; only with In and NotIn.',
        ...atomicList,
      }),
  })
  .meta({
    description: 'One requirement.',
    'x-kubernetes-validations': [
      {
        rule:
          "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 " +
          ': !has(self.values) || size(self.values) == 0',
        message: 'In and NotIn need values; Exists and DoesNotExist take none',
      },
    ],
  });

/** @param what it selects, for `kubectl explain` */
export const labelSelector = (what: string) =>
  z
    .object({
      matchLabels: z.record(z.string(), Value).optional().meta({
        description: 'Labels that the object has, all of them.',
        'x-kubernetes-map-type': 'atomic',
      }),
      matchExpressions: z
        .array(Requirement)
        .max(32)
        .optional()
        .meta({
          description: 'Requirements that the object meets, all of them.',
          ...atomicList,
        }),
    })
    .meta({ description: what });

export const LabelSelector = labelSelector('A label selector.');
export type LabelSelector = z.infer<typeof LabelSelector>;

type Labels = Readonly<Record<string, string>>;

/** Whether an object with these labels is selected. An empty selector selects every object, as in metav1. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((one) => meetsRequirement(one, labels))
  );
}

/** As the API server takes it in a query. An empty one selects every object, as `''` does. */
export function selectorQuery({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const set = (word: string, values: readonly string[] = []): string =>
    ` ${word} (${values.join(',')})`;
  const requirements = matchExpressions.map(({ key, operator, values }) => {
    switch (operator) {
      case 'In':
        return key + set('in', values);
      case 'NotIn':
        return key + set('notin', values);
      case 'Exists':
        return key;
      case 'DoesNotExist':
        return `!${key}`;
    }
  });
  const equal = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  return [...equal, ...requirements].join(',');
}

/** Whether these labels meet one requirement. */
export function meetsRequirement(
  {
    key,
    operator,
    values = [],
  }: Readonly<Omit<z.infer<typeof Requirement>, 'values'>> & {
    readonly values?: readonly string[] | undefined;
  },
  labels: Labels,
): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
