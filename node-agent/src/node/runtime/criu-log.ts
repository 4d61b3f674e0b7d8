// SPDX-License-Identifier: Apache-2.0
// The message of CRIU's dump.log or restore.log for people. Nothing is decided by a log: the names of a container's files
// are in it. criu-outcome.ts reads what decides.
import { open } from 'node:fs/promises';
import { isErrno } from '../../support/errors.ts';

const TAIL_BYTES = 128 * 1024;

/** What the user can do something about, with the words that go before CRIU's own. */
const hints: readonly { pattern: RegExp; message: string }[] = [
  { pattern: /No space left on device/, message: 'The node has no space left' },
  {
    pattern: /(Can't dump|unsupported|Unsupported|can't be dumped|Unknown).{0,200}/,
    message: 'A process uses an object that CRIU cannot dump',
  },
  {
    pattern: /(Can't open image|image magic|Unexpected EOF|Error reading).{0,200}/,
    message: 'CRIU cannot read an image',
  },
];

/** The error in the text of a log: the first that has a hint, or else the first of all. Pure. */
export function messageInLog(text: string): string {
  const errors = text.split('\n').filter((line) => /Error \(/.test(line));
  const plain = (line: string): string => line.replace(/^.*?Error \([^)]*\):\s*/, '').trim();
  for (const { pattern, message } of hints) {
    const line = errors.find((one) => pattern.test(one));
    if (line) return `${message}: ${plain(line)}`;
  }
  return errors[0] === undefined
    ? 'CRIU failed and left no error in its log. The copy of the log is in /var/lib/sealift/failures on the node.'
    : plain(errors[0]);
}

/** The error in a log file's last 128 KiB. */
export async function readLogMessage(file: string): Promise<string> {
  return messageInLog(await readTail(file));
}

/** The end of a text file; empty if there is none. @param limit in bytes */
export async function readTail(file: string, limit = TAIL_BYTES): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      const length = Math.min(size, limit);
      const { buffer, bytesRead } = await handle.read(
        Buffer.alloc(length),
        0,
        length,
        size - length,
      );
      return buffer.subarray(0, bytesRead).toString('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
}
