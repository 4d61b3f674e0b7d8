// SPDX-License-Identifier: Apache-2.0
// What a command is: its options and arguments, which help, parser and completion are made from, and what it does.
import { PodIPConnections } from '../../crds/src/index.ts';
import type { Cluster } from './cluster.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import { priorityIn, secondsIn, type Values } from './values.ts';

/** What an option or argument names; completion asks the API server for the names. */
export type Names = 'pod' | 'workload' | 'node' | 'request' | 'checkpoint';

export interface Option {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** Placeholder of its value in the help. */
  readonly value?: string;
  readonly help: string;
  /** The only values. */
  readonly choices?: readonly string[];
  readonly names?: Names;
  /** Called before the command does anything. @throws CommandError for a value that it does not take */
  readonly check?: (values: Values, name: string) => unknown;
}

export interface Argument {
  /** As in the help: `POD`. */
  readonly name: string;
  readonly names?: Names;
  readonly choices?: readonly string[];
  readonly optional?: true;
  /** It may be given more than once; only the last one may. */
  readonly repeated?: true;
}

export interface Invocation {
  readonly values: Values;
  readonly args: readonly string[];
  readonly output: Output;
  /** Reads the kubeconfig at the first call. */
  readonly cluster: () => Cluster;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** What else a user has to know, as sentences. */
  readonly details?: string;
  readonly args: readonly Argument[];
  readonly options: Readonly<Record<string, Option>>;
  readonly run: (invocation: Invocation) => Promise<ExitCode>;
}

/** Options of every command, named as kubectl's. */
export const globalOptions = {
  namespace: { type: 'string', short: 'n', value: 'NAMESPACE', help: 'Namespace of the objects.' },
  context: { type: 'string', value: 'NAME', help: 'Context of the kubeconfig.' },
  kubeconfig: { type: 'string', value: 'FILE', help: 'Path of the kubeconfig.' },
  help: { type: 'boolean', short: 'h', help: 'Show this help.' },
} as const satisfies Record<string, Option>;

export const outputOption: Option = {
  type: 'string',
  short: 'o',
  value: 'FORMAT',
  help: 'Print objects as json or yaml instead of text.',
  choices: ['json', 'yaml'],
};
export const priorityOption: Option = {
  type: 'string',
  value: 'NUMBER',
  check: priorityIn,
  help: 'Place in the queue: one more passes requests that are up to a minute older. Write --priority=-5 for one below 0.',
};
export const podIPConnectionsOption: Option = {
  type: 'string',
  value: PodIPConnections.options.join('|'),
  choices: PodIPConnections.options,
  help: "What becomes of TCP connections at the pod's own IP, where it does not keep that IP: Reset moves the pod without them. Left out: as the policy says, else Refuse.",
};
export const waitOptions = {
  wait: { type: 'boolean', help: 'Wait for the end, and show the progress.' },
  timeout: {
    type: 'string',
    value: 'TIME',
    check: secondsIn,
    help: 'Wait so long at most: seconds, or 5m. The request goes on. Implies --wait.',
  },
} as const satisfies Record<string, Option>;
