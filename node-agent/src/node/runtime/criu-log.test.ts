// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { messageInLog } from './criu-log.ts';

describe('the message of a log of CRIU', () => {
  it.each([
    [
      '(00.1) Error (criu/mem.c:9): write: No space left on device',
      'The node has no space left: write: No space left on device',
    ],
    [
      "(00.1) Error (criu/sk-unix.c:9): Can't dump half of a stream",
      "A process uses an object that CRIU cannot dump: Can't dump half of a stream",
    ],
    ['(00.1) Error (criu/tun.c:9): something else', 'something else'],
  ])('%s', (line, message) => {
    const log = `(00.0) Version: 4.1.1\n${line}\n(00.2) Error (criu/cr-restore.c:1): Restoring FAILED.\n`;
    expect(messageInLog(log)).toBe(message);
  });

  it('is the first error, or says that there is none', () => {
    expect(
      messageInLog('(00.1) Error (criu/files.c:7): no file\n(00.2) Error (criu/x.c:1): more\n'),
    ).toBe('no file');
    expect(messageInLog('')).toMatch(/no error/);
  });
});
