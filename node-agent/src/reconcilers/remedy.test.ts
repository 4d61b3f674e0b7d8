// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { withRemedy } from './remedy.ts';

const fault = (code: string) => ({ code, message: 'The manifest is damaged.' });

describe('the remedy for images that cannot be used', () => {
  it.each(['ImageCorrupt', 'ImageTruncated'])('fits the request: %s', (code) => {
    const messages = (['MigrationRequest', 'RestoreRequest', 'CheckpointRequest'] as const).map(
      (kind) => withRemedy(kind, fault(code)).message,
    );
    expect(messages).toEqual([
      'The manifest is damaged. Create a new MigrationRequest.',
      'The manifest is damaged. Create a RestoreRequest with another checkpoint as spec.checkpointName ("kubectl get creq" lists them), or take a new one with a CheckpointRequest.',
      'The manifest is damaged. Create a new CheckpointRequest.',
    ]);
  });

  it('is the same version of Sealift for a move, whose images are of this moment', () => {
    const move = withRemedy('MigrationRequest', fault('ImageVersion'));
    expect(move.message).toMatch(/same version of Sealift on both nodes, then create a new Mig/);
    expect(withRemedy('RestoreRequest', fault('ImageVersion')).message).toMatch(
      /spec\.targetNodeName .* or take a new one with a CheckpointRequest\.$/,
    );
  });

  it('is none for other failures', () => {
    expect(withRemedy('RestoreRequest', fault('DiskFull'))).toEqual(fault('DiskFull'));
  });
});
