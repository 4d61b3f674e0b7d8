// SPDX-License-Identifier: Apache-2.0
// Keeps the diagnostics of a move that failed or was aborted in <state>/failures/<request>-<uid>.<role>/: CRIU's logs, the
// kernel's messages since the move began, the RDMA objects, the journal's entry and the request. Directories and sizes are
// bounded. The reconcilers call it; a failure in here never fails them.
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from '../../../../kube/src/index.ts';
import { isErrno, reasonOf } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';
import type { Host } from '../host/host.ts';
import type { Entry } from '../../support/journal/journal.ts';
import type { RdmaDriver } from '../device/driver.ts';
import { readTail } from '../runtime/criu-log.ts';
import { kernelLog } from './kernel-log.ts';

/** The newest directories that are kept. */
export const MAX_DIRECTORIES = 20;
/** Size limit of a file; a directory has a handful of files. */
const MAX_FILE_BYTES = 1 << 20;
/** CRIU logs in a directory. */
const MAX_LOGS = 16;
const UNFINISHED = '.new';
/** An unfinished directory that is older has lost its writer. */
const UNFINISHED_MS = 3_600_000;

export interface DiagnosticsParts {
  /** Parent of the directories: the same path on the host and in the agent's container. */
  dir: string;
  nodeName: string;
  host: Host;
  driver: RdmaDriver;
  /** Directory of CRIU's work directories, `<workRoot>/<request UID>/<container>`, on the host. */
  workRoot: string;
  log: Logger;
}

export class Diagnostics {
  readonly #parts: DiagnosticsParts;

  constructor(parts: DiagnosticsParts) {
    this.#parts = parts;
  }

  /** The directory of a request's diagnostics, whether or not it exists. */
  directory(entry: Pick<Entry, 'id' | 'role' | 'name'>): string {
    const name = entry.name.replace(/[^a-z0-9.-]/gi, '_').slice(0, 100);
    return join(this.#parts.dir, `${name}-${entry.id.slice(0, 8)}.${entry.role}`);
  }

  /** Adds node and directory to a message for people. */
  pointTo(message: string, entry: Pick<Entry, 'id' | 'role' | 'name'>): string {
    return `${message} (logs: node ${this.#parts.nodeName}, ${this.directory(entry)})`;
  }

  /**
   * Writes the diagnostics, unless the request has some: those were written nearer to the failure. Never throws.
   * @param request the API object
   * @param workId name of the directory of CRIU's work directories
   */
  async keep(entry: Entry, request: object, workId = entry.id): Promise<void> {
    const directory = this.directory(entry);
    try {
      if (await exists(directory)) return;
      const unfinished = directory + UNFINISHED;
      await rm(unfinished, { recursive: true, force: true });
      await mkdir(unfinished, { recursive: true, mode: 0o700 });
      await this.#write(unfinished, entry, request, workId);
      await rename(unfinished, directory);
      await this.sweep();
    } catch (error) {
      this.#parts.log.warn({ directory, ...reasonOf(error) }, 'cannot write diagnostics');
    }
  }

  /** Removes all directories but the newest, and those that an agent has not finished. */
  async sweep(): Promise<void> {
    const found: { path: string; at: number }[] = [];
    for (const name of await list(this.#parts.dir)) {
      const path = join(this.#parts.dir, name);
      const at = (await stat(path)).mtimeMs;
      if (!name.endsWith(UNFINISHED)) found.push({ path, at });
      else if (Date.now() - at > UNFINISHED_MS) await rm(path, { recursive: true, force: true });
    }
    found.sort((a, b) => b.at - a.at);
    for (const { path } of found.slice(MAX_DIRECTORIES)) await rm(path, { recursive: true });
  }

  async #write(directory: string, entry: Entry, request: object, workId: string): Promise<void> {
    const write = async (name: string, content: () => unknown): Promise<void> => {
      let text: string;
      try {
        const value = await content();
        text = typeof value === 'string' ? value : `${JSON.stringify(value, null, 1)}\n`;
      } catch (error) {
        text = `${reasonOf(error).code}: ${reasonOf(error).message}\n`;
      }
      await writeFile(join(directory, name), text.slice(-MAX_FILE_BYTES), { mode: 0o600 });
    };
    await write('journal.json', () => entry);
    await write('request.json', () => request);
    await write('kernel.log', () => kernelLog(beginOf(entry), MAX_FILE_BYTES));
    const { netns } = entry;
    if (netns !== undefined) await write('rdma.json', () => this.#parts.driver.describe(netns));
    for (const { name, file } of await this.#logs(workId)) {
      await write(name, () => readTail(file, MAX_FILE_BYTES));
    }
  }

  async #logs(workId: string): Promise<{ name: string; file: string }[]> {
    const root = this.#parts.host.path(join(this.#parts.workRoot, workId));
    const logs: { name: string; file: string }[] = [];
    for (const container of await list(root)) {
      for (const { name, file } of await logsIn(join(root, container))) {
        logs.push({ name: `${container}.${name}`, file });
      }
    }
    return logs.slice(0, MAX_LOGS);
  }
}

/** 5 s before the first step, in milliseconds since the epoch. */
function beginOf(entry: Entry): number {
  const times = entry.steps.map((step) => Date.parse(step.startTime)).filter((ms) => ms > 0);
  return (times.length > 0 ? Math.min(...times) : Date.now()) - 5000;
}

/** A dump's logs and report are in the container's directory, those of a restore in a directory below it. */
async function logsIn(directory: string): Promise<{ name: string; file: string }[]> {
  const found: { name: string; file: string }[] = [];
  for (const path of await list(directory, true)) {
    if (!/\.(log|json)$/.test(path)) continue;
    found.push({ name: basename(path), file: join(directory, path) });
  }
  return found;
}

async function list(dir: string, recursive = false): Promise<string[]> {
  try {
    return (await readdir(dir, { recursive })).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return [];
    throw error;
  }
}
