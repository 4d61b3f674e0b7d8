// SPDX-License-Identifier: Apache-2.0
// What this agent has begun for a request, on disk before it happens: a restarted agent undoes or goes on from
// here, never from memory. One small file per request, replaced whole and fsync'd.
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Step } from '../../../crds/src/index.ts';
import { isErrno } from '../errors.ts';
import { syncDir } from '../transfer/pack.ts';

/** Stages are written before the effect that they name, except `sent`, `restored` and the ends. */
export const stage = z.enum([
  'locking',
  'holding',
  'freezing',
  'dumping',
  'transferring',
  'sent',
  'stored',
  'waiting',
  'restoring',
  'atGate',
  'opening',
  'running',
  'resumed',
  'gone',
  'tornDown',
]);
export type Stage = z.infer<typeof stage>;

const journalContainer = z.object({
  id: z.string(),
  name: z.string(),
  /** Directory on the host. */
  bundle: z.string().optional(),
});

export const entry = z.object({
  version: z.literal(1),
  /** UID of the request: the file's name. */
  id: z.string(),
  role: z.enum(['source', 'target', 'checkpoint']),
  kind: z.enum(['MigrationRequest', 'RestoreRequest', 'CheckpointRequest']),
  namespace: z.string(),
  name: z.string(),
  pod: z.string(),
  podUid: z.string(),
  stage,
  netns: z.string().optional(),
  ifname: z.string().optional(),
  device: z.string().optional(),
  containers: z.array(journalContainer).default([]),
  steps: z.array(Step).default([]),
  /** A failure that has been found but may not have been recorded as a decision yet. */
  reason: z.string().optional(),
  message: z.string().optional(),
});
export type Entry = z.infer<typeof entry>;

const fileName = (id: string, role: Entry['role']) => `${id}.${role}.json`;

export class Journal {
  readonly #dir: string;
  readonly #entries = new Map<string, Entry>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Reads what a former agent left. Files that cannot be read are returned, not hidden. */
  static async open(dir: string): Promise<{ journal: Journal; unreadable: string[] }> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const journal = new Journal(dir);
    const unreadable: string[] = [];
    for (const name of await readdir(dir)) {
      if (name.endsWith('.new')) await rm(join(dir, name), { force: true });
      if (!name.endsWith('.json')) continue;
      const parsed = entry.safeParse(await readJson(join(dir, name)));
      if (parsed.success)
        journal.#entries.set(fileName(parsed.data.id, parsed.data.role), parsed.data);
      else unreadable.push(name);
    }
    return { journal, unreadable };
  }

  get(id: string, role: Entry['role']): Entry | undefined {
    return this.#entries.get(fileName(id, role));
  }

  all(): Entry[] {
    return [...this.#entries.values()];
  }

  /** Durable when it resolves. */
  async put(content: Entry): Promise<void> {
    const name = fileName(content.id, content.role);
    const temporary = join(this.#dir, `${name}.new`);
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(entry.parse(content))}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, join(this.#dir, name));
    await syncDir(this.#dir);
    this.#entries.set(name, content);
  }

  async remove(id: string, role: Entry['role']): Promise<void> {
    const name = fileName(id, role);
    try {
      await rm(join(this.#dir, name));
      await syncDir(this.#dir);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
    this.#entries.delete(name);
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
