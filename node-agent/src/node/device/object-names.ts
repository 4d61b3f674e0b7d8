// SPDX-License-Identifier: Apache-2.0
// How a message names an object of an RDMA device: whose it is, its handle and the descriptor of its context.
import type { RxeContext, RxeObject } from '../../../../native/addon/index.ts';

/** A process of the pod that has a context of the device open. */
export interface OpenContext extends RxeContext {
  pid: number;
  /** Name of its container. */
  container: string;
}

/** Says which process a PID is, for messages: `Process 41 (python3)`. */
export type NameProcess = (pid: number) => string;

export interface Located {
  /** The process that has made it, or else one that has its context open. */
  owner: string;
  /** `(handle 4 of descriptor 3) on rxe0` */
  where: string;
  /** Who has its context open; at least one. */
  opened: readonly OpenContext[];
}

/** Pure. @returns undefined for an object of the kernel, or of a context that nobody is known to have open */
export function locate(
  { context, owner, handle }: Pick<RxeObject, 'context' | 'owner' | 'handle'>,
  { device, opened }: { device: string; opened: readonly OpenContext[] },
  nameOf: NameProcess,
): Located | undefined {
  const here = context === undefined ? [] : opened.filter((one) => one.context === context);
  const [first] = here;
  if (!first) return undefined;
  const { fd } = here.find(({ pid }) => pid === owner) ?? first;
  return {
    owner: nameOf(owner ?? first.pid),
    where: `(handle ${handle ?? '?'} of descriptor ${fd}) on ${device}`,
    opened: here,
  };
}

/** `queue pair 17`, `a completion queue` */
export function what({ kind, number }: Pick<RxeObject, 'kind' | 'number'>): string {
  switch (kind) {
    case 'qp':
      return `queue pair ${number}`;
    case 'cq':
      return 'a completion queue';
    case 'srq':
      return 'a shared receive queue';
    case 'ah':
      return 'an address handle';
    default:
      return `an object of kind ${kind}`;
  }
}

export const refusal = (text: string, advice: string): string =>
  `${text}, which cannot be moved. ${advice}, then create a new request.`;
