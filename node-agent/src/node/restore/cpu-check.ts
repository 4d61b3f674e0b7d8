// SPDX-License-Identifier: Apache-2.0
import { annotations, lacksFeatures } from '../../../../crds/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { Manifest } from '../transfer/manifest.ts';

/** The operator chooses nodes by what they report; an earlier one does not. @throws AgentError CpuIncompatible */
export function refuseLesserCpu({ versions }: Manifest, here: string | undefined): void {
  const problem = lacksFeatures(versions.cpuFeatures, here);
  if (problem === undefined) return;
  throw new AgentError(
    'CpuIncompatible',
    `This node ${problem}. Create a new request for a node that has them (annotation ${annotations.cpuFeatures}).`,
  );
}
