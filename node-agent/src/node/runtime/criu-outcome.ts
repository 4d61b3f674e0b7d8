// SPDX-License-Identifier: Apache-2.0
// The outcome of a dump or a restore, from the file that the CRIU plugin and sealift-runc write (docs/architecture.md,
// "Outcome of a dump or restore"). Nothing in a container can write that file. CRIU's log is for messages only: the
// names of a container's files are in it.
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError, type AgentCode, type Failure } from '../../support/errors.ts';
import { textOf } from '../../support/optional-file.ts';
import { readLogMessage } from './criu-log.ts';

/** sealift-runc's name of the file, in CRIU's work directory. */
export const RESTORE_REPORT = 'sealift-restore.json';
/** The agent's name of it for a dump. */
export const DUMP_REPORT = 'sealift-dump.json';
const report = z.discriminatedUnion('state', [
  z.object({ state: z.literal('detached') }),
  z.object({ state: z.literal('dumped') }),
  z.object({
    state: z.literal('failed'),
    code: z.string(),
    message: z.string().default(''),
  }),
]);
export type CriuReport = z.infer<typeof report>;

/** Restoring: CRIU is not at its end. Detached: CRIU has detached from the tasks, frozen. Failure: the tasks are dead. */
export type CriuOutcome = 'Restoring' | 'Detached' | Failure;

/** The plugin's codes that the user can do something about, with the message made of the plugin's text. */
const pluginCodes: Record<string, { code: AgentCode; message: (text: string) => string }> = {
  unsupported: { code: 'UnsupportedObject', message: (text) => `${text}.` },
  'driver-abi': {
    code: 'ImageVersion',
    message: (text) => `${text}.`,
  },
  'image-version': {
    code: 'ImageVersion',
    message: (text) => `${text}.`,
  },
  'image-damaged': { code: 'ImageCorrupt', message: (text) => `${text}.` },
  'image-missing': {
    code: 'ImageTruncated',
    message: (text) => `${text} is not among the images.`,
  },
};

/**
 * @param file as the agent sees it
 * @returns undefined if there is no such file, or nothing in it: nobody syncs it in the pause, so a loss of power may leave the
 * name alone. What it was about has ended then
 * @throws AgentError RuntimeFailed for a file that is no report: it does not say what has run
 */
export async function readReport(file: string): Promise<CriuReport | undefined> {
  const text = await textOf(file);
  if (text === undefined || /^\0*$/.test(text)) return undefined;
  try {
    return report.parse(JSON.parse(text));
  } catch (cause) {
    throw new AgentError('RuntimeFailed', `${file} is not a report of Sealift's CRIU plugin.`, {
      cause,
    });
  }
}

/**
 * The reason of a dump or restore that has failed. The code comes from the report alone; where the plugin has no text,
 * the message comes from CRIU's log.
 * @param log CRIU's, as the agent sees it
 * @param fallback for a failure that is none of the plugin's
 */
export async function failureOf(
  failed: CriuReport | undefined,
  log: string,
  fallback: AgentCode,
): Promise<{ code: AgentCode; message: string }> {
  const text = failed?.state === 'failed' ? plainText(failed.message) : '';
  const isPlugins = failed?.state === 'failed' && !['criu', 'runc'].includes(failed.code);
  if (!isPlugins || text === '') {
    return { code: fallback, message: await readLogMessage(log) };
  }
  const known = Object.hasOwn(pluginCodes, failed.code) ? pluginCodes[failed.code] : undefined;
  const { code, message } = known ?? { code: fallback, message: (said: string) => `${said}.` };
  return { code, message: message(text.replace(/\.$/, '')) };
}

/**
 * Reads the outcome of a restore.
 * @param workPath CRIU's work directory as the agent sees it
 * @throws AgentError RuntimeFailed if the report cannot be read
 */
export async function readCriuOutcome(workPath: string): Promise<CriuOutcome> {
  const found = await readReport(join(workPath, RESTORE_REPORT));
  switch (found?.state) {
    case undefined:
    case 'dumped':
      return 'Restoring';
    case 'detached':
      return 'Detached';
    case 'failed':
      return failureOf(found, join(workPath, 'restore.log'), 'RestoreFailed');
  }
}

/** The plugin writes what is not ASCII byte by byte. Control characters do not belong into a message. */
function plainText(text: string): string {
  const isBytes = [...text].every((one) => one.charCodeAt(0) < 256);
  const decoded = isBytes ? Buffer.from(text, 'latin1').toString('utf8') : text;
  return decoded.replace(/\p{Cc}+/gu, ' ').trim();
}
