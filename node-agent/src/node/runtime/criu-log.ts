// SPDX-License-Identifier: Apache-2.0
// Turns the end of CRIU's dump.log or restore.log into a reason. The plugin's own messages start with
// `sealift: <kind>:`; CRIU's are matched only where the user can do something about them.
import { open } from 'node:fs/promises';
import { isErrno, type AgentCode } from '../../support/errors.ts';

export interface LogReason {
  code: AgentCode;
  message: string;
}

const TAIL_BYTES = 128 * 1024;

/** The plugin's codes (native/criu-plugin/README.md) that the user can do something about. */
const pluginKinds: Record<string, { code: AgentCode; says: (text: string) => string }> = {
  unsupported: { code: 'UnsupportedObject', says: (text) => text },
  'driver-abi': {
    code: 'ImageVersion',
    says: (text) => `${text}: install the same Sealift on both nodes`,
  },
  'image-version': {
    code: 'ImageVersion',
    says: (text) => `${text}: checkpoint again with the Sealift that is installed now`,
  },
  'image-damaged': { code: 'ImageCorrupt', says: (text) => `${text}: checkpoint again` },
  'image-missing': {
    code: 'ImageTruncated',
    says: (text) => `${text} is not among the images: checkpoint again`,
  },
};

const criuHints: readonly { pattern: RegExp; code: AgentCode; message: string }[] = [
  { pattern: /No space left on device/, code: 'DiskFull', message: 'no space left on the node' },
  {
    pattern: /(Can't dump|unsupported|Unsupported|can't be dumped|Unknown).{0,200}/,
    code: 'UnsupportedObject',
    message: 'the process holds something that CRIU cannot dump',
  },
  {
    pattern: /(Can't open image|image magic|Unexpected EOF|Error reading).{0,200}/,
    code: 'ImageCorrupt',
    message: 'an image cannot be read',
  },
];

/** The reason in the text of a log; `fallback` if none is recognised, with CRIU's first error. Pure. */
export function reasonInLog(text: string, fallback: AgentCode): LogReason {
  const own = /sealift: ([a-z-]+): (.*)/.exec(text);
  if (own?.[1] && own[2] !== undefined) {
    const kind = pluginKinds[own[1]];
    if (kind) return { code: kind.code, message: kind.says(own[2].trim()) };
  }
  const errors = text.split('\n').filter((line) => /Error \(/.test(line));
  const first = errors[0]?.replace(/^.*?Error \([^)]*\):\s*/, '').trim();
  for (const hint of criuHints) {
    const line = errors.find((one) => hint.pattern.test(one));
    if (line) {
      const said = line.replace(/^.*?Error \([^)]*\):\s*/, '').trim();
      return { code: hint.code, message: `${hint.message}: ${said}` };
    }
  }
  return { code: fallback, message: first ?? 'CRIU failed and left no error in its log' };
}

/** Reads a log's tail; a missing log is no reason of its own. */
export async function readLogReason(file: string, fallback: AgentCode): Promise<LogReason> {
  return reasonInLog(await readTail(file), fallback);
}

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
