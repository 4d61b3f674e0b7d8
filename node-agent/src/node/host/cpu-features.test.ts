// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { lacksFeatures } from '../../../../crds/src/index.ts';
import { cpuFeatures, parseCpuFeatures } from './cpu-features.ts';

const cpuinfo = (...flags: string[]): string =>
  flags
    .map((one, index) => `processor\t: ${index}\nflags\t\t: ${one}\nvmx flags\t: ept vpid\n\n`)
    .join('');

describe('the CPU features of a node', () => {
  it('are those that programs may use, and that every processor has', () => {
    const text = cpuinfo('fpu sse2 avx512f arat avx md_clear', 'fpu avx sse2 hypervisor');
    expect(parseCpuFeatures(text)).toBe('avx sse2');
  });

  it.each(['', 'processor\t: 0\nFeatures\t: fp asimd\n', 'bugs\t\t: spectre_v1\n'])(
    'are not known from %j',
    (text) => {
      expect(parseCpuFeatures(text)).toBeUndefined();
    },
  );

  it('are reported of this machine', async () => {
    expect(await cpuFeatures()).toMatch(/(^| )sse2( |$)/);
  });

  it.each<[string | undefined, string | undefined, RegExp | undefined]>([
    ['avx sse2', 'avx avx2 sse2', undefined],
    ['avx avx512f sse2', 'avx sse2', /features that the pod may use: avx512f$/],
    ['sse2', '', /sse2$/],
    ['1 2 3 4 5 6 7 8 9 a', '', /: 1, 2, 3, 4, 5, 6, 7, 8 and 2 more$/],
    ['avx', 'avx2', /: avx$/],
    [undefined, undefined, undefined],
    [undefined, 'avx', undefined],
    ['avx', undefined, /does not say/],
    ['', 'avx', undefined],
  ])('%j: may run where there are %j', (from, to, wanted) => {
    const found = lacksFeatures(from, to);
    if (wanted) expect(found).toMatch(wanted);
    else expect(found).toBeUndefined();
  });
});
