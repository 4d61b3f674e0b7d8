// SPDX-License-Identifier: Apache-2.0
// Turns the end of CRIU's dump.log or restore.log into an error code and a message. The plugin's errors start with
// `sealift: <kind>:` (native/criu-plugin/README.md). CRIU's own are matched only where the user can do something.
import { open } from 'node:fs/promises';
import { isErrno, type AgentCode } from '../../support/errors.ts';

export interface LogReason {
  code: AgentCode;
  message: string;
}

const TAIL_BYTES = 128 * 1024;

/** The plugin's kinds of errors that the user can do something about, with the message made of the plugin's text. */
const pluginKinds: Record<string, { code: AgentCode; message: (text: string) => string }> = {
  unsupported: { code: 'UnsupportedObject', message: (text) => `${text}.` },
  'driver-abi': {
    code: 'ImageVersion',
    message: (text) => `${text}. Install the same version of Sealift on both nodes.`,
  },
  'image-version': {
    code: 'ImageVersion',
    message: (text) => `${text}. Take a new checkpoint with the installed version of Sealift.`,
  },
  'image-damaged': { code: 'ImageCorrupt', message: (text) => `${text}. Take a new checkpoint.` },
  'image-missing': {
    code: 'ImageTruncated',
    message: (text) => `${text} is not among the images. Take a new checkpoint.`,
  },
};

const criuHints: readonly { pattern: RegExp; code: AgentCode; message: string }[] = [
  { pattern: /No space left on device/, code: 'DiskFull', message: 'The node has no space left' },
  {
    pattern: /(Can't dump|unsupported|Unsupported|can't be dumped|Unknown).{0,200}/,
    code: 'UnsupportedObject',
    message: 'A process uses an object that CRIU cannot dump',
  },
  {
    pattern: /(Can't open image|image magic|Unexpected EOF|Error reading).{0,200}/,
    code: 'ImageCorrupt',
    message: 'CRIU cannot read an image',
  },
];

/** The error in the text of a log, or `fallback` with CRIU's first error as the message. Pure. */
export function reasonInLog(text: string, fallback: AgentCode): LogReason {
  const plugin = /sealift: ([a-z-]+): (.*)/.exec(text);
  if (plugin?.[1] && plugin[2] !== undefined) {
    const kind = pluginKinds[plugin[1]];
    if (kind)
      return { code: kind.code, message: kind.message(plugin[2].trim().replace(/\.$/, '')) };
  }
  const errors = text.split('\n').filter((line) => /Error \(/.test(line));
  const first = errors[0]?.replace(/^.*?Error \([^)]*\):\s*/, '').trim();
  for (const hint of criuHints) {
    const line = errors.find((one) => hint.pattern.test(one));
    if (line) {
      const error = line.replace(/^.*?Error \([^)]*\):\s*/, '').trim();
      return { code: hint.code, message: `${hint.message}: ${error}` };
    }
  }
  return { code: fallback, message: first ?? 'CRIU failed and left no error in its log.' };
}

/** The error in a log file's last 128 KiB. A missing file gives `fallback`. */
export async function readLogReason(file: string, fallback: AgentCode): Promise<LogReason> {
  return reasonInLog(await readTail(file), fallback);
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
