// SPDX-License-Identifier: Apache-2.0
// The native parts' own tests, on a node: its kernel, its CRIU, the driver that Sealift has loaded there. Minutes each
// under emulation, so not in `make test`.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { onNode, run, top } from '../src/lab.ts';

/** A part's tests as one archive: how it is made, where it lies then, what to run in it. */
interface Archive {
  readonly name: string;
  readonly part: string;
  readonly file: string;
  readonly script: string;
}

const archives: readonly Archive[] = [
  {
    name: 'driver',
    part: 'native/rxe',
    file: 'build/native/rxe-tests.tar.gz',
    script: 'rxe-tests/run.sh',
  },
  {
    name: 'criu-plugin',
    part: 'native/criu-plugin',
    file: 'native/criu-plugin/build/criu-tests.tar.gz',
    script: 'criu-tests/run',
  },
  {
    name: 'addon',
    part: 'native/addon',
    file: 'build/native/addon-tests.tar.gz',
    script: 'addon-tests/run.sh',
  },
];

const FOLDER = '/var/tmp/sealift-native';
const MINUTES = 60_000;

async function runOnNode(context: CaseContext, archive: Archive): Promise<void> {
  const node = context.nodes[1];
  const make = ['run', 'make', '--no-print-directory', '-C', archive.part, 'archive'];
  await run(`${top}/e2e/lab/builder.sh`, make, { timeoutMs: 5 * MINUTES });
  await onNode(node, `rm -rf ${FOLDER} && mkdir ${FOLDER}`);
  try {
    const copy = `e2e/lab/lab.sh ssh ${node.slice(1)} tar -xz -C ${FOLDER} <${archive.file}`;
    await run('bash', ['-c', copy]);
    const said = await onNode(node, `${FOLDER}/${archive.script} 2>&1 || true`, 20 * MINUTES);
    const wrong = said.split('\n').filter((line) => /^(not ok|    )/.test(line));
    const last = said.trim().split('\n').at(-1) ?? '';
    const counts = /(\d+) passed, (\d+) failed$/.exec(last);
    context.log(`  ${node}: ${counts?.[1] ?? 0} checks held, ${counts?.[2] ?? 0} did not`);
    expect(
      counts !== null && Number(counts[1]) > 0 && Number(counts[2]) === 0,
      [last, ...wrong].join('\n').slice(0, 4000),
    );
  } finally {
    await onNode(node, `rm -rf ${FOLDER}`);
  }
}

export const cases: readonly Case[] = archives.map((archive) => ({
  name: `native-${archive.name}`,
  promise: `the tests of ${archive.part} hold on a node`,
  run: (context: CaseContext) => runOnNode(context, archive),
}));
