// SPDX-License-Identifier: Apache-2.0
// The socket's requests and replies: docs/architecture.md, "The agent's socket".
import { z } from 'zod';
import { AgentError } from './errors.ts';

/** The longest request in bytes. The shim and the plugin send a few hundred. */
export const MAX_REQUEST_BYTES = 16 * 1024;

const text = z.string().min(1).max(4096);
const absolutePath = text.refine((path) => path.startsWith('/') && !path.includes('\0'), {
  message: 'must be an absolute path',
});
const containerId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/);

export const createRequest = z.object({
  op: z.literal('create'),
  id: containerId,
  bundle: absolutePath,
  sandboxId: containerId,
  namespace: text,
  pod: text,
  podUid: text,
  container: text,
});
export const gateRequest = z.object({
  op: z.literal('gate'),
  token: text,
  container: text,
  pid: z.number().int().nonnegative(),
  /** Microseconds that the plugin took to register memory and restore the queue pairs' state. */
  registerUs: z.number().int().nonnegative().optional(),
});
export const cniRequest = z.object({
  op: z.literal('cni'),
  phase: z.enum(['before', 'after', 'del']),
  containerId,
  netns: z.string().max(4096),
  ifname: z.string().regex(/^[^/\s]{1,15}$/),
  namespace: z.string().max(253),
  pod: z.string().max(253),
  podUid: z.string().max(64).default(''),
  /** Phase `after`: whether the CNI delegate has made a hidden interface, as the reply to `before` asked. */
  hidden: z.boolean().default(false),
  /** `pod`: the pod's first interface, in the cluster's own network. Absent: a network of RDMA. */
  network: z.literal('pod').optional(),
  /** Phase `after` of the pod's network: what its plugins have printed. */
  result: z.looseObject({}).optional(),
});
export const request = z.discriminatedUnion('op', [createRequest, gateRequest, cniRequest]);

export type CreateRequest = z.infer<typeof createRequest>;
export type GateRequest = z.infer<typeof gateRequest>;
export type CniRequest = z.infer<typeof cniRequest>;
export type Request = z.infer<typeof request>;

export interface RunReply {
  ok: true;
  action: 'run';
}
export interface RestoreReply {
  ok: true;
  action: 'restore';
  imagePath: string;
  workPath: string;
  options: string[];
  env: Record<string, string>;
}
export type CreateReply = RunReply | RestoreReply;
export interface PlainReply {
  ok: true;
}
export interface CniReply extends PlainReply {
  /** Phase `before`: whether the delegate must make a macvlan in bridge mode that takes no frames of its siblings. */
  hide?: true;
  /** Phase `before`: the pod has come, or comes, from another node. It may take an address that is reserved for it. */
  moved?: true;
}
/** Of the pod's network, phase `before`: the plugins that the delegate is to run, in order. */
export interface PodNetworkReply extends PlainReply {
  cniVersion: string;
  name: string;
  plugins: readonly object[];
}
/** Of the pod's network, phase `after`: what the delegate prints, if not the plugins' own result. */
export interface PodAddressReply extends PlainReply {
  result?: object;
}
export type Reply =
  | CreateReply
  | PlainReply
  | CniReply
  | PodNetworkReply
  | PodAddressReply
  | { ok: false; code: string; message: string };

/** @throws AgentError ProtocolError */
export function parseRequest(line: string): Request {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (error) {
    throw new AgentError('ProtocolError', 'The request is not one line of JSON.', { cause: error });
  }
  const parsed = request.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new AgentError(
    'ProtocolError',
    `The request is not valid: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown shape'}`,
  );
}
