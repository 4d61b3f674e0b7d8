// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import { Pod } from '../../../kube/src/index.ts';
import { isGivenTo } from './given-addresses.ts';

const status = JSON.stringify([
  { name: 'cluster', default: true, ips: ['10.1.0.2'] },
  { name: 'fabric', ips: ['10.0.0.5'] },
]);
/** Whether 10.0.0.5, which its network has given, and 10.0.0.6 are the pod's. */
const given = (
  spec: object,
  more: Record<string, string> = { [annotations.networkStatus]: status },
) => {
  const isGiven = isGivenTo(Pod.parse({ metadata: { name: 'p', annotations: more }, spec }));
  return [isGiven('10.0.0.5'), isGiven('10.0.0.6')];
};
const container = (securityContext?: object | null) => ({ name: 'c', securityContext });

describe('the addresses of a pod', () => {
  it.each([
    [{}],
    [{ containers: [container()] }],
    [{ containers: [container(null)] }],
    [{ containers: [container({ capabilities: null })] }],
    [{ containers: [container({ privileged: false, capabilities: { add: ['NET_RAW'] } })] }],
    [{ containers: [container({ capabilities: { drop: ['NET_ADMIN'] } })] }],
  ])('are those of its networks: %j', (spec) => {
    expect(given(spec)).toEqual([true, false]);
  });

  it.each([
    [{ containers: [container(), container({ privileged: true })] }],
    [{ containers: [container({ capabilities: { add: ['SYS_TIME', 'NET_ADMIN'] } })] }],
    [{ containers: [container({ capabilities: { add: ['CAP_NET_ADMIN'] } })] }],
    [{ initContainers: [container({ capabilities: { add: ['ALL'] } })] }],
  ])('are all that it could have added: %j', (spec) => {
    expect(given(spec)).toEqual([true, true]);
  });

  it('are all that it has brought along from another node', () => {
    const moved = { [annotations.networkStatus]: status, [annotations.requestUid]: 'u' };
    expect(given({}, moved)).toEqual([true, true]);
  });

  it('are all where nothing is known of its networks', () => {
    expect(given({}, {})).toEqual([true, true]);
    expect(given({}, { [annotations.networkStatus]: 'x' })).toEqual([true, true]);
  });
});
