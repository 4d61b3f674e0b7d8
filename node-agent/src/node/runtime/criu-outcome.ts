// SPDX-License-Identifier: Apache-2.0
// The outcome of a dump or a restore, from the file that the CRIU plugin and sealift-runc write (docs/architecture.md,
// "Outcome of a dump or restore"). Nothing in a container can write that file. CRIU's log is for messages only: the
// names of a container's files are in it.
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError, type AgentCode, type Failure } from '../../support/errors.ts';
import { textOf } from '../../support/optional-file.ts';
import { readLogMessage } from './criu-log.ts';
import { PROC, readProcess, readTracer } from './process.ts';

/** sealift-runc's name of the file, in CRIU's work directory. */
export const RESTORE_REPORT = 'sealift-restore.json';
/** The agent's name of it for a dump. */
export const DUMP_REPORT = 'sealift-dump.json';
/** In the bundle while sealift-runc restores: a line `<pid> <start time>` for its keeper and for runc. */
const WAITING = 'sealift-waiting';

const report = z.discriminatedUnion('state', [
  z.object({ state: z.literal('opened'), pid: z.int().positive(), startTime: z.number() }),
  z.object({ state: z.literal('detached') }),
  z.object({ state: z.literal('dumped') }),
  z.object({
    state: z.literal('failed'),
    opened: z.boolean().default(false),
    code: z.string(),
    message: z.string().default(''),
  }),
]);
export type CriuReport = z.infer<typeof report>;

/**
 * Restoring: not at its end, and nothing has run. Opened: the gate was opened, and CRIU may detach at any moment.
 * Detached: the tasks run. Failure: the tasks are dead.
 */
export type RestoreOutcome = 'Restoring' | 'Opened' | 'Detached' | Failure;

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
 * @returns undefined if there is no such file
 * @throws AgentError RuntimeFailed for a file that is no report: it does not say what has run
 */
export async function readReport(file: string): Promise<CriuReport | undefined> {
  const text = await textOf(file);
  if (text === undefined) return undefined;
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
 * @param of `workPath` and `bundle` are directories as the agent sees them
 * @throws AgentError RuntimeFailed if the report cannot be read
 */
export async function readRestoreOutcome(
  of: { workPath: string; bundle: string },
  proc = PROC,
): Promise<RestoreOutcome> {
  // The marker first: the keeper writes the report before it removes the marker.
  const isAttended = await isRestoreAttended(of.bundle, proc);
  const found = await readReport(join(of.workPath, RESTORE_REPORT));
  switch (found?.state) {
    case undefined:
    case 'dumped':
      return 'Restoring';
    case 'detached':
      return 'Detached';
    case 'failed':
      return failureOf(found, join(of.workPath, 'restore.log'), 'RestoreFailed');
    case 'opened':
      return isAttended ? 'Opened' : abandonedOutcome(found, proc);
  }
}

/** The gate was opened, and runc and its keeper were killed before they could report: the first task tells. */
async function abandonedOutcome(
  { pid, startTime }: { pid: number; startTime: number },
  proc: string,
): Promise<RestoreOutcome> {
  const tracer = await readTracer(pid, proc);
  const task = await readProcess(pid, proc);
  if (task?.startTime === startTime && tracer !== undefined) {
    // CRIU traces the tasks until it detaches from them.
    return tracer === 0 ? 'Detached' : 'Opened';
  }
  return {
    code: 'RestoreFailed',
    message: 'CRIU was killed when its gate was open, and the restored tasks have ended.',
  };
}

/** Whether sealift-runc's keeper or runc is there, which complete the report. */
async function isRestoreAttended(bundle: string, proc: string): Promise<boolean> {
  const text = await textOf(join(bundle, WAITING));
  if (text === undefined) return false;
  const lines = [...text.matchAll(/^(\d+) (\d+)$/gm)];
  // A marker without a name is written just before the keeper writes its own.
  if (lines.length === 0) return true;
  for (const [, pid, startTime] of lines) {
    const found = await readProcess(Number(pid), proc);
    if (found && found.startTime === Number(startTime)) return true;
  }
  return false;
}

/** The plugin writes what is not ASCII byte by byte. Control characters do not belong into a message. */
function plainText(text: string): string {
  const isBytes = [...text].every((one) => one.charCodeAt(0) < 256);
  const decoded = isBytes ? Buffer.from(text, 'latin1').toString('utf8') : text;
  return decoded.replace(/\p{Cc}+/gu, ' ').trim();
}
