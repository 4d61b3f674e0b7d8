// SPDX-License-Identifier: Apache-2.0
// A source says how much memory its pod has, before its target is created.
import { describe, expect, it } from 'vitest';
import { migrationRequests } from '../../../../kube/src/index.ts';
import { NAMESPACE } from '../../testing/objects.ts';
import { AgentError } from '../../support/errors.ts';
import {
  api,
  ask,
  put,
  run,
  runs,
  sourceNode,
  startAgent,
  status,
} from '../../testing/source-agent.ts';

const MIB = 2 ** 20;
const reported = () => status()?.sourceAgent?.memory?.bytes;
/** How often the agent has written since. */
const version = () => api.peek(migrationRequests, NAMESPACE, 'move')?.metadata.resourceVersion;

describe('a source', () => {
  it('says it with its first report', async () => {
    sourceNode.memoryBytes = 64 * MIB;
    put({ targetAgent: undefined, deadlines: {} });
    await run();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Waiting', memory: { bytes: 68 * MIB } });
    expect(sourceNode.did).toEqual([]);
  });

  it('says it again only once it is wrong, also after a restart', async () => {
    sourceNode.memoryBytes = 64 * MIB;
    put({ targetAgent: undefined, deadlines: {} });
    await run();
    const before = version();
    for (const bytes of [65, 68, 40]) {
      sourceNode.memoryBytes = bytes * MIB;
      await run();
    }
    await startAgent();
    await run();
    expect([reported(), version()]).toEqual([68 * MIB, before]);
    sourceNode.memoryBytes = 69 * MIB;
    await run();
    expect(reported()).toBe(74 * MIB);
  });

  it('keeps it in its report until the end', async () => {
    sourceNode.memoryBytes = MIB;
    put({ targetAgent: undefined, deadlines: {} });
    await run();
    await startAgent();
    put();
    await runs();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Sent', memory: { bytes: 2 * MIB } });
  });

  it('says it of a dry run, too, and not of a pod that is gone', async () => {
    ask({ dryRun: true });
    sourceNode.memoryBytes = MIB;
    put({ targetAgent: undefined, deadlines: {} });
    await run();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Inspected', memory: { bytes: 2 * MIB } });
  });

  it('has none to say of a pod that is gone', async () => {
    ask({ dryRun: true });
    sourceNode.fail = { at: 'find', error: new AgentError('PodNotFound', 'gone') };
    put({ targetAgent: undefined, deadlines: {} });
    await run();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Inspected' });
    expect(reported()).toBeUndefined();
  });
});
