// SPDX-License-Identifier: Apache-2.0
// The tests of the native parts on a node: with its kernel, its CRIU and Sealift's driver. Each takes minutes under
// emulation, so `make test` leaves them out.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { onNode } from '../src/cluster.ts';
import { run, top } from '../src/command.ts';
import { provider } from '../src/provider/choice.ts';

/** The tests of one part as an archive: where `make archive` puts it, and which script in it runs the tests. */
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

const DIRECTORY = '/var/tmp/sealift-native';
const MINUTES = 60_000;

async function runOnNode(context: CaseContext, archive: Archive): Promise<void> {
  const node = context.nodes[1];
  const make = ['run', 'make', '--no-print-directory', '-C', archive.part, 'archive'];
  await run(`${top}/e2e/lab/builder.sh`, make, { timeoutMs: 5 * MINUTES });
  await onNode(node, `rm -rf ${DIRECTORY} && mkdir ${DIRECTORY}`);
  try {
    await provider.unpack(node, `${top}/${archive.file}`, DIRECTORY);
    const output = await onNode(node, `${DIRECTORY}/${archive.script} 2>&1 || true`, 30 * MINUTES);
    const wrong = output.split('\n').filter((line) => /^(not ok|    )/.test(line));
    const last = output.trim().split('\n').at(-1) ?? '';
    const counts = /(\d+) passed, (\d+) failed$/.exec(last);
    context.log(`  ${node}: ${counts?.[1] ?? 0} checks passed, ${counts?.[2] ?? 0} failed`);
    expect(
      counts !== null && Number(counts[1]) > 0 && Number(counts[2]) === 0,
      [last, ...wrong].join('\n').slice(0, 4000),
    );
  } finally {
    await onNode(node, `rm -rf ${DIRECTORY}`);
  }
}

export const cases: readonly Case[] = archives.map((archive) => ({
  name: `native-${archive.name}`,
  promise: `The tests of ${archive.part} pass on a node.`,
  needs: ['shell', 'own-kernel'],
  run: (context: CaseContext) => runOnNode(context, archive),
}));
