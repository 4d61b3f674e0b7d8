// SPDX-License-Identifier: Apache-2.0
// `make test`: runs the lanes one after another, then prints a line for each and the sum `N passed, N failed`.
// LANES picks by name. A lane that skips tests prints why. A lane that runs no test has failed, unless it is optional.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { lanes, type Lane } from './lanes/list.ts';
import { pickByName, unknownNames } from './src/names.ts';

const top = fileURLToPath(new URL('..', import.meta.url));

interface Result {
  passed: number;
  failed: number;
  skipped: string[];
  /** What failed, one line each, as far as the lane prints it. The sum repeats them, as people often read only the end of a log. */
  failures: string[];
}

/** Failures of one lane that the sum repeats. */
const MAX_FAILURES = 20;

/** Runs a lane's command; prints its output and returns it. */
function execute(lane: Lane): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', lane.command], {
      cwd: top,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output += chunk.toString('utf8');
      process.stdout.write(chunk);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', () => resolve({ status: 127, output }));
    child.on('close', (status) => resolve({ status: status ?? 128, output }));
  });
}

/** Sums the counts in a lane's output: one line `... N passed, N failed` per part. */
export function countLines(output: string): Result {
  const result: Result = { passed: 0, failed: 0, skipped: [], failures: [] };
  for (const line of output.split('\n')) {
    const failure = /^(?:not ok(?: -)?|FAIL|FAILED) (\S.*)$/.exec(line);
    if (failure?.[1]) result.failures.push(failure[1]);
    const counts = /(?:^|[\s:])(\d+) passed, (\d+) failed\b/.exec(line);
    if (counts) {
      result.passed += Number(counts[1]);
      result.failed += Number(counts[2]);
    }
    const skip = /\bskipped: (.+)$/.exec(line);
    if (skip?.[1]) result.skipped.push(skip[1]);
  }
  return result;
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: {
    name?: string;
    status: string;
    message?: string;
    assertionResults: { status?: string; fullName?: string; failureMessages?: string[] }[];
  }[];
}

const firstLine = (text: string | undefined): string => (text ?? '').split('\n')[0] ?? '';

/**
 * Counts vitest's own report: tests, and files that did not load. An error thrown outside of any test is only in
 * `output`, what vitest printed. It has no count; only the exit status shows it.
 */
export function countVitest(json: string, output = ''): Result {
  const report = JSON.parse(json) as VitestReport;
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests > 0 ? [`${report.numPendingTests} tests say why`] : [],
    failures: [
      ...broken.map((file) => `${file.name ?? 'a file'}: ${firstLine(file.message)}`),
      ...tests
        .filter((test) => test.status === 'failed')
        .map((test) => `${test.fullName ?? 'a test'}: ${firstLine(test.failureMessages?.[0])}`),
      ...[...output.matchAll(/^\W*Unhandled \w+\W*\n(\S.*)$/gm)].map(
        (m) => `outside of a test: ${m[1]}`,
      ),
    ],
  };
}

/** A lane's result from its exit status and its counts. A failure that no count includes is one more. */
export function resultOf(
  lane: Pick<Lane, 'counts' | 'optional'>,
  status: number,
  counted: Result,
): Result {
  const result = { ...counted };
  if (lane.counts === 'status') {
    result.passed = status === 0 ? 1 : 0;
    result.failed = status === 0 ? 0 : 1;
  }
  if (status !== 0 && result.failed === 0) result.failed = 1;
  const leftOut = lane.optional === true && result.skipped.length > 0;
  if (result.passed + result.failed === 0 && !leftOut) result.failed = 1;
  return result;
}

async function runLane(lane: Lane): Promise<Result> {
  const file = `${top}build/test/${lane.name}.json`;
  rmSync(file, { force: true });
  const { status, output } = await execute(lane);
  let counted = countLines(output);
  if (lane.counts === 'vitest') {
    try {
      counted = countVitest(readFileSync(file, 'utf8'), output);
    } catch {
      counted = { passed: 0, failed: 1, skipped: [], failures: ['no report'] };
    }
  }
  return resultOf(lane, status, counted);
}

async function main(): Promise<number> {
  const names = process.env['LANES'] ?? '';
  const unknown = unknownNames(lanes, names);
  if (unknown.length > 0) {
    const known = lanes.map((lane) => lane.name).join(', ');
    console.error(`LANES: there is no lane ${unknown.join(', ')}. The lanes are ${known}.`);
    return 2;
  }
  const chosen = pickByName(lanes, names);
  mkdirSync(`${top}build/test`, { recursive: true });
  // For a lane that is left out when there is not enough time: seconds since 1970.
  process.env['LANES_STARTED'] = String(Math.floor(Date.now() / 1000));
  const rows: string[] = [];
  let passed = 0;
  let failed = 0;
  for (const lane of chosen) {
    console.log(`\n=== ${lane.name}: ${lane.what}`);
    const started = Date.now();
    const result = await runLane(lane);
    passed += result.passed;
    failed += result.failed;
    const took = ((Date.now() - started) / 1000).toFixed(0);
    rows.push(
      `${lane.name.padEnd(8)} ${result.passed} ok, ${result.failed} not ok, ${took} s` +
        result.skipped.map((why) => `; skipped: ${why}`).join(''),
      ...(result.failed > 0 ? result.failures.slice(0, MAX_FAILURES) : []).map(
        (f) => `  not ok: ${f}`,
      ),
    );
  }
  console.log(`\n${rows.join('\n')}`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
