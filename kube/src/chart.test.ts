// SPDX-License-Identifier: Apache-2.0
// What the chart's manifests say for values that differ from the defaults.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { binaries } from '../testing/api-server.ts';
import { render } from '../testing/chart.ts';

const { folder = '' } = { ...binaries() } as { folder?: string };
const hasHelm = existsSync(join(folder, 'helm'));
if (!hasHelm) console.warn('SKIPPED, no helm beside the API server');

interface Workload {
  spec: {
    template: {
      spec: {
        priorityClassName?: string;
        topologySpreadConstraints?: object[];
        containers: { env: { name: string; value?: string }[] }[];
      };
    };
  };
}
const workload = (template: string, ...values: string[]): Workload =>
  render({ binaries: folder }, template, values)?.at(-1) as unknown as Workload;
const heapOf = ({ spec }: Workload): string | undefined =>
  spec.template.spec.containers[0]?.env.find((one) => one.name === 'NODE_OPTIONS')?.value;

describe.skipIf(!hasHelm)('the chart', { timeout: 60_000 }, () => {
  it.each([
    ['384Mi', '--max-old-space-size=128 '],
    ['1Gi', '--max-old-space-size=341 '],
  ])('gives the operator a third of a limit of %s as heap', (limit, heap) => {
    const made = workload('operator.yaml', `operator.resources.limits.memory=${limit}`);
    expect(heapOf(made)).toContain(heap);
  });

  it('gives the agent a heap by its own limit', () => {
    const made = workload('agent.yaml', 'agent.resources.limits.memory=600Mi');
    expect(heapOf(made)).toContain('--max-old-space-size=200 ');
  });

  it('refuses a limit that it cannot compute with', () => {
    expect(() => workload('operator.yaml', 'operator.resources.limits.memory=300M')).toThrow(
      /Mi or Gi/,
    );
  });

  it('keeps one of several operators running, on different nodes', () => {
    const several = ['operator.replicas=2'];
    const [budget] = render({ binaries: folder }, 'disruption-budget.yaml', several) ?? [];
    expect(budget).toMatchObject({ kind: 'PodDisruptionBudget', spec: { maxUnavailable: 1 } });
    const { spec } = workload('operator.yaml', ...several).spec.template;
    expect(spec.topologySpreadConstraints).toHaveLength(1);
    expect(spec.priorityClassName).toBe('system-cluster-critical');
    // One that may not be evicted would keep its node from being drained.
    expect(() => render({ binaries: folder }, 'disruption-budget.yaml')).toThrow(/could not find/);
  });
});
