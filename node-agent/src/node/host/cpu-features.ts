// SPDX-License-Identifier: Apache-2.0
// Which instructions and registers programs on this node may use. CRIU compares the floating point state only; a program that
// has chosen its code by a feature (AVX-512 in a memcpy) would end after the move, on a CPU without it.
import { readFile } from 'node:fs/promises';

/**
 * Names of /proc/cpuinfo (arch/x86/include/asm/cpufeatures.h) that a program can depend on. The others are of the kernel,
 * the hypervisor or power management, and differ between nodes that are alike for programs.
 */
const usable = new RegExp(
  `^(${[
    'mmx|mmxext|3dnow|3dnowext|3dnowprefetch|fxsr|sse|sse2|pni|ssse3|sse4_1|sse4_2|sse4a|misalignsse',
    'avx.*|amx_.*|apx.*|fma|fma4|f16c|xop|tbm|lwp',
    'cmov|cx8|cx16|lahf_lm|movbe|popcnt|abm|bmi1|bmi2|adx|cmpccxadd|rao_int',
    'aes|vaes|pclmulqdq|vpclmulqdq|gfni|sha_ni|sha512|sm3|sm4|kl|aeskle|aeskle_wide',
    'rdrand|rdseed|rdpid|rdtscp|rdpru|fsgsbase|xsave|xsaveopt|xsavec|xgetbv1',
    'clflush|clflushopt|clwb|clzero|cldemote|movdiri|movdir64b|enqcmd|serialize|waitpkg|mwaitx',
    'rtm|hle|tsxldtrk|pku|ospke|user_shstk|uintr|ptwrite|msr_imm',
  ].join('|')})$`,
);

/**
 * @param cpuinfo text of /proc/cpuinfo
 * @returns what every processor has, as crds/src/cpu-features.ts describes it; undefined: the text does not say it
 */
export function parseCpuFeatures(cpuinfo: string): string | undefined {
  const sets = [...cpuinfo.matchAll(/^flags\s*:(.*)$/gm)].map(
    ([, flags = '']) => new Set(flags.split(/\s+/).filter((one) => usable.test(one))),
  );
  const [first, ...others] = sets;
  if (!first) return undefined;
  const all = [...first].filter((one) => others.every((set) => set.has(one)));
  return all.sort().join(' ');
}

let known: Promise<string | undefined> | undefined;

/** Of this node. It does not change while the agent runs, and on large machines the text is long. */
export function cpuFeatures(): Promise<string | undefined> {
  known ??= readFile('/proc/cpuinfo', 'utf8').then(parseCpuFeatures);
  return known;
}
