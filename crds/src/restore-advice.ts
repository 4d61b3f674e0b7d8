// SPDX-License-Identifier: Apache-2.0
// What a user can do about a pod whose memory is lost: operator and agent say the same.
import type { MigrationRequest } from './migration-request.ts';
import type { RestoreRequest } from './restore-request.ts';

/**
 * @param request the move or the restore whose pod is lost
 * @returns whole sentences that name the object to create, and where to find its checkpoint
 */
export function restoreAdvice({
  metadata,
  spec,
}: Pick<MigrationRequest | RestoreRequest, 'metadata' | 'spec'>): string {
  if ('checkpointName' in spec) {
    return `Create another RestoreRequest with spec.checkpointName ${spec.checkpointName}.`;
  }
  return (
    `Look with "kubectl get creq -n ${metadata.namespace}" for a checkpoint of pod ${spec.podName} that has succeeded. ` +
    'If there is one, create a RestoreRequest with its name as spec.checkpointName.'
  );
}
