// SPDX-License-Identifier: Apache-2.0
// An RDMA application as users have it: how its two ends are started, and what it says of its own work.
import type { z } from 'zod';

/** How an application that ends after a number of iterations is told that number. */
export interface Counted {
  /** The option that has the number. */
  readonly option: string;
  /** How many are done first, to see how fast the nodes are. */
  readonly pilot: number;
  /** Iterations per second, by what the client printed at the end of a run. Undefined: it has not ended. */
  readonly rate: (log: string) => number | undefined;
}

/** What an endpoint has printed. That of a moved endpoint begins with its move. */
export interface Output {
  readonly endpoint: 'client' | 'server';
  readonly log: string;
  /** Of an application that is `counted`. */
  readonly iterations: number | undefined;
}

export interface Application {
  /** Lower case with dashes. The cases are `application-<name>-client`, and so on. */
  readonly name: string;
  /** For people: what runs. */
  readonly title: string;
  /** It is in the image with UCX and Open MPI, not in that of the workloads. */
  readonly inApplicationsImage?: true;
  /** The TCP port on which the server waits for its client. */
  readonly port: number;
  /** CPU limit of each pod. Absent: that of all pods of cases. */
  readonly cpuLimit?: string;
  /** The words of the server's command line. `$GID` is the index of the device's IPv4 GID. */
  readonly server: readonly string[];
  /** The client's. The server's address is added, unless they have `$PEER`, which is that. Absent: as the server's. */
  readonly client?: readonly string[];
  /** What the client prints when there is traffic. Absent: nothing. */
  readonly started?: RegExp;
  /** What moves; each is a case. Absent: either end. */
  readonly moves?: readonly ('client' | 'server' | 'both')[];
  /** How often each end that moves does. Absent: once. */
  readonly times?: number;
  /** What an end prints after each of its moves. Absent: nothing. */
  readonly afterMove?: RegExp;
  /** Where packets arrive. Absent: at both ends; the receiver of datagrams sends none. */
  readonly receivers?: readonly ('client' | 'server')[];
  /** Absent: the application runs for a time. */
  readonly counted?: Counted;
  /** How many queue pairs an end has at least. */
  readonly queuePairs: number;
  /** Whether an end says that its work was done, and complains of nothing. */
  readonly verified: (output: Output) => boolean;
}

/** Sets GID. A shell line, as an endpoint finds its own device only in its container. */
export const FIND_GID =
  'GID=$(grep -l 0000:0000:0000:0000:0000:ffff: /sys/class/infiniband/*/ports/1/gids/* 2>/dev/null' +
  " | sed 's#.*/##' | sort -n | head -n 1)";

/** Where the number of iterations is put, when it is known. */
export const COUNT_FILE = '/tmp/iterations';

/**
 * The command line of an endpoint's container. It ends by `exec`: the application is the container's first process, and its
 * exit status the container's.
 * @param peer the server's address, for the client
 */
export function shellLine(
  words: readonly string[],
  counted: Counted | undefined,
  peer?: string,
  countFile = COUNT_FILE,
): string {
  const uses = (name: string): boolean => words.some((word) => word.includes(name));
  const prelude = uses('$GID') ? [FIND_GID] : [];
  if (uses('$PEER')) prelude.push(`PEER=${peer ?? ''}`);
  const tail = peer === undefined || uses('$PEER') ? [] : [peer];
  if (counted === undefined) return [...prelude, ['exec', ...words, ...tail].join(' ')].join('; ');
  const line = (count: string): string => [...words, counted.option, count, ...tail].join(' ');
  const wait = `until [ -s ${countFile} ]; do sleep 0.2; done`;
  const pilot = `${line(String(counted.pilot))} || exit`;
  return [...prelude, pilot, wait, `exec ${line(`$(cat ${countFile})`)}`].join('; ');
}

/**
 * How traffic shows after a move. Iterations that were counted out beforehand are all done in the end, or the run does not end;
 * what ends by the clock would do so with a connection that stands, too.
 */
export function evidenceOf({
  counted,
  afterMove,
}: Pick<Application, 'counted' | 'afterMove'>): 'iterations' | 'output' | 'packets' {
  if (afterMove !== undefined) return 'output';
  return counted === undefined ? 'packets' : 'iterations';
}

/** Iterations that last about `seconds` at the rate of the pilot. */
export const iterationsFor = (perSecond: number, seconds: number, pilot: number): number =>
  Math.max(pilot, Math.ceil(perSecond * seconds));

/**
 * The last object that an application has printed: one line of JSON. Undefined: there is none in the log.
 * @throws ZodError, SyntaxError for a line of another form
 */
export function verdictIn<T>(log: string, form: z.ZodType<T>): T | undefined {
  const line = log.split('\n').findLast((one) => one.startsWith('{'));
  return line === undefined ? undefined : form.parse(JSON.parse(line));
}
