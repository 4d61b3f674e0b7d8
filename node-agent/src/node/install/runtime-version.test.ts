// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { expect, it } from 'vitest';
import { ApiError, ConnectionError, FakeClock } from '../../../../kube/src/index.ts';
import { knownRuntimeVersion } from './runtime-version.ts';

const log = pino({ level: 'silent' });

/** Answers in order; the last one stays. */
function reader(...answers: (string | Error)[]): () => Promise<string> {
  let next = 0;
  return () => {
    const answer = answers[Math.min(next++, answers.length - 1)]!;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
}

const timeout = new ConnectionError('RequestTimeout', 'GET /api/v1/nodes/a: no answer');

it.each([
  ['a busy API server', timeout],
  ['an API server that starts', new ApiError(503, 'ServiceUnavailable', 'starting')],
  ['a kubelet that has just started', 'containerd://Unknown'],
])('waits for %s', async (_, first) => {
  const clock = new FakeClock();
  const version = knownRuntimeVersion(reader(first, first, 'containerd://2.4.2'), { clock, log });
  await clock.advance(10_000);
  expect(await version).toBe('containerd://2.4.2');
});

it('takes what it does not know for an answer, too', async () => {
  const clock = new FakeClock();
  expect(await knownRuntimeVersion(reader('cri-o://1.34.0'), { clock, log })).toBe(
    'cri-o://1.34.0',
  );
  expect(await knownRuntimeVersion(reader(''), { clock, log })).toBe('');
});

it('ends with the last error after ten minutes', async () => {
  const clock = new FakeClock();
  const version = knownRuntimeVersion(reader(timeout), { clock, log });
  const end = expect(version).rejects.toThrow(timeout);
  await clock.advance(610_000);
  await end;
});

it('ends at once with what is no answer of the API server', async () => {
  const clock = new FakeClock();
  const broken = new TypeError('no such field');
  await expect(knownRuntimeVersion(reader(broken), { clock, log })).rejects.toThrow(broken);
});
