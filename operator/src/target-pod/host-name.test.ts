// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { node, pod } from '../../testing/objects.ts';
import { hostNameFields, refuseHostName, refuseLostHostName } from './host-name.ts';

describe('the host name of a moved pod', () => {
  const long = `${'x'.repeat(62)}.${'y'.repeat(30)}`;
  it.each<[string, string, object, object]>([
    ['a name', 'p', {}, { hostname: 'p' }],
    ['a name with a dot', 'a.b', {}, { hostnameOverride: 'a.b' }],
    ['one that the kubelet cuts', `${'x'.repeat(62)}-y`, {}, { hostname: 'x'.repeat(62) }],
    ['one that the kubelet cuts at its dot', long, {}, { hostname: 'x'.repeat(62) }],
    ['one with dots at the cut', `${'x'.repeat(60)}.-.y`, {}, { hostname: 'x'.repeat(60) }],
    ['one of the spec', 'a.b', { hostname: 'own' }, {}],
    ['an override of the spec', 'p', { hostnameOverride: 'own.x' }, {}],
  ])('from %s', (_what, name, spec, expected) => {
    expect(hostNameFields(name, spec)).toEqual(expected);
  });

  it.each<[string, object, string, boolean]>([
    ['a.b', { setHostnameAsFQDN: true }, 'with its domain', true],
    ['a.b', { setHostnameAsFQDN: true, hostname: 'own' }, 'with a host name of its own', false],
    ['a.b', {}, 'without its domain', false],
    ['p', { setHostnameAsFQDN: true }, 'without a dot', false],
  ])('%s, %o: %s is refused: %s', (name, spec, _what, expected) => {
    expect(refuseHostName(pod({ metadata: { name }, spec: { ...spec } })) !== undefined).toBe(
      expected,
    );
  });

  const on = (kubeletVersion: string) => {
    const b = node('b');
    return { ...b, status: { ...b.status, nodeInfo: { ...b.status.nodeInfo, kubeletVersion } } };
  };
  const target = (spec: Record<string, unknown>) => pod({ spec });
  it.each<[string, object, object, string, RegExp | undefined]>([
    ['is kept', { hostnameOverride: 'a.b' }, { hostnameOverride: 'a.b' }, 'v1.35.0', undefined],
    [
      'nobody knows the kubelet',
      { hostnameOverride: 'a.b' },
      { hostnameOverride: 'a.b' },
      '',
      undefined,
    ],
    ['has no dot', { hostname: 'p' }, { hostname: 'p' }, 'v1.30.0', undefined],
    [
      'is left out',
      { hostnameOverride: 'a.b' },
      {},
      'v1.35.0',
      /^The pod's host name a\.b has .* API server/,
    ],
    [
      'is not known',
      { hostnameOverride: 'a.b' },
      { hostnameOverride: 'a.b' },
      'v1.34.3',
      /kubelet of node b \(v1\.34\.3\)/,
    ],
  ])('%s', (_what, template, spec, version, expected) => {
    const { message } = refuseLostHostName(template, target({ ...spec }), on(version)) ?? {};
    if (expected) expect(message).toMatch(expected);
    else expect(message).toBeUndefined();
  });
});
