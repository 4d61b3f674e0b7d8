// SPDX-License-Identifier: Apache-2.0
// What interrupts a dump, and how.
import { describe, expect, it } from 'vitest';
import { DeadlineError } from '../../../kube/src/index.ts';
import { Host, type RunOptions } from '../host/host.ts';
import { Runc } from './runc.ts';

class Listening extends Host {
  options: RunOptions = {};
  override run(_program: string, _args: readonly string[], options: RunOptions = {}) {
    this.options = options;
    return Promise.resolve({ status: 0, stdout: '', stderr: '' });
  }
}

describe('a dump', () => {
  const begin = async (signal?: AbortSignal) => {
    const host = new Listening({ root: '/' });
    await new Runc(host).checkpoint('c', { imagePath: '/i', workPath: '/w', env: {}, signal });
    return host.options;
  };

  it('is interrupted for a deadline the way CRIU knows', async () => {
    const stop = new AbortController();
    const { interrupt } = await begin(stop.signal);
    expect(interrupt?.when.aborted).toBe(false);
    stop.abort(new DeadlineError('DumpDeadlineExceeded', 'too long'));
    expect(interrupt?.when.aborted).toBe(true);
    expect(interrupt?.with).toEqual(['SIGCONT', 'SIGALRM']);
  });

  it('is not interrupted because nobody needs it: CRIU has its code in the tasks', async () => {
    const stop = new AbortController();
    const { interrupt, signal } = await begin(stop.signal);
    stop.abort();
    expect([interrupt?.when.aborted, signal]).toEqual([false, undefined]);
    expect((await begin()).interrupt?.when.aborted).toBe(false);
  });

  it('that is late before it begins is interrupted at once', async () => {
    const { interrupt } = await begin(AbortSignal.abort(new DeadlineError('X', 'y')));
    expect(interrupt?.when.aborted).toBe(true);
  });
});
