// SPDX-License-Identifier: Apache-2.0
import type { MigrationRequest, RestoreRequest } from '../../../crds/src/index.ts';
import { AgentError } from '../support/errors.ts';

/** `host:port` to which a request's images are sent. @throws AgentError TransferFailed */
export function receiverAddress({ status }: MigrationRequest | RestoreRequest): string {
  const address = status?.target?.agentAddress;
  if (address !== undefined) return address;
  throw new AgentError(
    'TransferFailed',
    "The target node's agent has no address yet. Check that the Sealift agent runs on that node.",
  );
}
