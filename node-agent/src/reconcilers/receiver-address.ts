// SPDX-License-Identifier: Apache-2.0
// Where a request's images go. The reconcilers of source and image sender call it before they send.
import type { MigrationRequest, RestoreRequest } from '../../../crds/src/index.ts';
import { AgentError } from '../support/errors.ts';

/** `host:port` to which a request's images are sent, and the node whose agent must be there. @throws AgentError TransferFailed */
export function receiverAddress({ status }: MigrationRequest | RestoreRequest): {
  address: string;
  node: string;
} {
  const { agentAddress: address, nodeName: node } = status?.target ?? {};
  if (address !== undefined && node !== undefined) return { address, node };
  throw new AgentError(
    'TransferFailed',
    "The target node's agent has no address yet. Check that the Sealift agent runs on that node.",
  );
}
