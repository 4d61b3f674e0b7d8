// SPDX-License-Identifier: Apache-2.0
// A pod whose name has a dot keeps its host name only where API server and kubelet know spec.hostnameOverride.
import { describe, expect, it } from 'vitest';
import type { Node } from '../../../kube/src/index.ts';
import { see } from '../../testing/migration.ts';
import { accepted, at, node, NOW, pod, target } from '../../testing/objects.ts';
import { decideMigration } from './decide.ts';
import type { Observed } from './types.ts';

const on = (name: string, kubeletVersion: string): Node => {
  const { status, ...plain } = node(name);
  return { ...plain, status: { ...status, nodeInfo: { ...status.nodeInfo, kubeletVersion } } };
};
const old = [on('a', 'v1.34.2'), on('b', 'v1.34.2')];
const dotted = pod({ metadata: { name: 'a.b' } });
const spec = { podName: 'a.b' };

describe('a pod with a dot in its name', () => {
  const chosen = (parts: Partial<Observed>): unknown => {
    const plan = decideMigration(see({ sourcePod: dotted, ...parts }), NOW);
    const { target: to } = plan.status ?? {};
    return to?.candidates ?? to?.nodeName ?? plan.status?.conditions?.[0]?.message;
  };

  it('goes only to nodes whose kubelet knows the field', () => {
    const nodes = [...old, on('c', 'v1.35.0'), on('d', ''), on('e', 'v1.34.9')];
    expect(chosen({ nodes })).toEqual(expect.arrayContaining(['c', 'd']));
    expect(chosen({ nodes })).toHaveLength(2);
    expect(chosen({ nodes, sourcePod: pod() })).toHaveLength(4);
    const own = pod({ metadata: { name: 'a.b' }, spec: { hostname: 'own' } });
    expect(chosen({ nodes, sourcePod: own })).toHaveLength(4);
  });

  it('is refused where there is none', () => {
    expect(chosen({ nodes: old })).toMatch(/node b has a kubelet \(v1\.34\.2\) that does not know/);
  });

  const reasons = (targetSpec: object, status: Record<string, unknown> = {}): unknown => {
    const to = { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' };
    const source = { nodeName: 'a', podName: 'a.b', podUID: 'pod-uid' };
    const request = accepted({ source, target: to, ...status }, { spec });
    const targetPod = target('request-uid', { spec: { nodeName: 'b', ...targetSpec } });
    const observed = see({ request, sourcePod: dotted, targetPod, nodes: old });
    return decideMigration(observed, NOW).effects.flatMap((one) =>
      'reason' in one ? one.reason : [],
    );
  };

  it.each<[string, object, Record<string, unknown>, string[]]>([
    ['is aborted by a kubelet', { hostnameOverride: 'a.b' }, {}, ['UnsupportedPod']],
    ['is aborted by an API server', {}, {}, ['UnsupportedPod']],
    ['goes on with the target of an earlier operator', { hostname: 'a' }, {}, []],
    ['goes on in the pause', {}, { deadlines: { prepare: at(300), blackout: at(60) } }, []],
  ])('%s', (_what, targetSpec, status, expected) => {
    expect(reasons(targetSpec, status)).toEqual(expected);
  });
});
