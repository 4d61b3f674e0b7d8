// SPDX-License-Identifier: Apache-2.0
// The chart as a whole against a real API server: names as long as helm lets them be, and Pod Security.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TestServer } from './api-server.ts';
import { renderAll } from './chart.ts';
import type { Manifest } from './definitions.ts';

/** What a Deployment, a DaemonSet and a Job have. */
interface Workload extends Manifest {
  readonly spec: { readonly template: { readonly metadata: object; readonly spec: object } };
}

export function chartSuite(server: () => TestServer): void {
  describe('the chart', { timeout: 120_000 }, () => {
    const kubectl = (input: string | undefined, ...args: readonly string[]): string =>
      execFileSync(
        join(server().binaries, 'kubectl'),
        ['--kubeconfig', server().kubeconfig, ...args],
        { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] },
      );
    const longest = { release: 'r'.repeat(53), namespace: 'n'.repeat(63) };
    const restricted = 'chart-restricted';

    beforeAll(() => {
      for (const name of [longest.namespace, restricted]) kubectl(undefined, 'create', 'ns', name);
      kubectl(
        undefined,
        'label',
        'ns',
        restricted,
        'pod-security.kubernetes.io/enforce=restricted',
      );
    });

    it('is taken whole with the longest names', () => {
      const manifests = renderAll(server(), longest, ['operator.replicas=2']) ?? [];
      expect(manifests.length).toBeGreaterThan(30);
      // The RuntimeClass is there already, and not by helm.
      const text = manifests
        .filter(({ kind }) => kind !== 'RuntimeClass')
        .map((one) => JSON.stringify(one));
      const said = kubectl(
        text.join('\n---\n'),
        ...['apply', '--dry-run=server', '-n', longest.namespace, '-f', '-'],
      );
      expect(said.trim().split('\n')).toHaveLength(text.length);
    });

    it.each([
      ['Deployment', true],
      ['Job', true],
      ['DaemonSet', false],
    ])('has a %s that a restricted namespace takes: %s', (kind, isTaken) => {
      const all = renderAll(server(), { release: 'sealift', namespace: restricted }) ?? [];
      const { template } = (all.find((one) => one.kind === kind) as Workload).spec;
      const pod = JSON.stringify({
        ...{ apiVersion: 'v1', kind: 'Pod' },
        ...{
          metadata: { name: 'one', namespace: restricted },
          spec: template.spec,
        },
      });
      const create = (): string => kubectl(pod, 'create', '--dry-run=server', '-f', '-');
      if (isTaken) expect(create()).toContain('created');
      else expect(create).toThrow('violates PodSecurity');
    });
  });
}
