// SPDX-License-Identifier: Apache-2.0
// A pod that is pinned to the one node that it leaves could go nowhere: such a pin is dropped, and nothing else. A list of
// hosts, or a host that is excluded, is a wish about the other nodes too. Pure.
import type { Node } from '../../kube/src/index.ts';

/** The node that a pod leaves, by the two names that a pod can be pinned with. */
export interface Host {
  readonly name: string;
  /** Its label `kubernetes.io/hostname`, which need not be its name. */
  readonly hostname: string;
}

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}
/** A term of a required node affinity, parsed or as the API server has it. */
interface Term {
  readonly matchExpressions?: readonly Requirement[];
  readonly matchFields?: readonly Requirement[];
}
type Selector = Readonly<Record<string, string>>;

const hostnameLabel = 'kubernetes.io/hostname';

export function hostOf(nodes: readonly Node[], name: string): Host {
  const node = nodes.find((one) => one.metadata.name === name);
  return { name, hostname: node?.metadata.labels[hostnameLabel] ?? name };
}

/** A nodeSelector without the host. */
export function freeSelector(selector: Selector, { hostname }: Host): Record<string, string> {
  const kept = Object.entries(selector);
  return Object.fromEntries(
    kept.filter(([key, value]) => key !== hostnameLabel || value !== hostname),
  );
}

/**
 * Terms are alternatives: as long as one of them lets the pod leave, those that pin it stay as they are. The name comes
 * first, because an earlier request has added it to each term of its target.
 * @returns no terms: any node will do
 */
export function freeTerms<T extends Term>(terms: readonly T[], host: Host): T[] {
  // The scheduler takes a term without requirements for one that no node meets.
  let left = terms.filter((term) => !isEmpty(term));
  if (left.length === 0) return [...terms];
  for (const isPin of [pinsName, pinsHost]) {
    const pins = (one: Requirement): boolean => isPin(one, host);
    if (!left.every((term) => requirementsOf(term).some(pins))) continue;
    left = left.map((term) => without(term, pins));
    if (left.some(isEmpty)) return [];
  }
  return left;
}

/**
 * Without the names that a request has added to the terms of its target, one at the end of each: they were the nodes to choose
 * from then.
 * @param terms of a pod that a request has made
 * @returns no terms: any node will do
 */
export function withoutNames<T extends Term>(terms: readonly T[]): T[] {
  const kept = terms.map(withoutLastName);
  if (kept.some(isEmpty)) return [];
  const byText = new Map(kept.map((term) => [JSON.stringify(term), term]));
  return [...byText.values()];
}

function withoutLastName<T extends Term>(term: T): T {
  const { matchFields = [] } = term;
  const last = matchFields.at(-1);
  const isName = last?.key === 'metadata.name' && last.operator === 'In';
  return isName ? { ...term, matchFields: matchFields.slice(0, -1) } : term;
}

const requirementsOf = ({ matchExpressions = [], matchFields = [] }: Term): Requirement[] => [
  ...matchExpressions,
  ...matchFields,
];
const isEmpty = (term: Term): boolean => requirementsOf(term).length === 0;

const isAlone = ({ operator, values = [] }: Requirement, wanted: string): boolean =>
  operator === 'In' && values.length > 0 && values.every((one) => one === wanted);
const pinsName = (one: Requirement, { name }: Host): boolean =>
  one.key === 'metadata.name' && isAlone(one, name);
const pinsHost = (one: Requirement, host: Host): boolean =>
  pinsName(one, host) || (one.key === hostnameLabel && isAlone(one, host.hostname));

function without<T extends Term>(term: T, pins: (one: Requirement) => boolean): T {
  const { matchExpressions, matchFields } = term;
  return {
    ...term,
    ...(matchExpressions && { matchExpressions: matchExpressions.filter((one) => !pins(one)) }),
    ...(matchFields && { matchFields: matchFields.filter((one) => !pins(one)) }),
  };
}
