// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { sayWhile, sparing } from './wait.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('a long wait says one line in 25 s, the first at once', async () => {
  const lines: string[] = [];
  const say = sparing((line) => void lines.push(line));
  for (let second = 0; second < 60; second += 3) {
    say(`${second}`);
    await vi.advanceTimersByTimeAsync(3000);
  }
  expect(lines).toEqual(['0', '27', '54']);
});

it('says so until the work has ended, and not afterwards', async () => {
  let end = (_value: string): void => undefined;
  const work = new Promise<string>((resolve) => (end = resolve));
  const say = vi.fn();
  const said = sayWhile(work, say);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(say).toHaveBeenCalledTimes(3);
  end('done');
  expect(await said).toBe('done');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(say).toHaveBeenCalledTimes(3);
});
