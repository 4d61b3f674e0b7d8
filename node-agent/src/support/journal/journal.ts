// SPDX-License-Identifier: Apache-2.0
// What this agent has begun for a request, on disk before it happens: a restarted agent undoes or goes on from
// here, never from memory. One small file per request, replaced whole and fsync'd.
import { z } from 'zod';
import { Step } from '../../../../crds/src/index.ts';
import { KeyedMutex, withFaults } from '../../../../kube/src/index.ts';
import { DiskFolder, type Folder } from './folder.ts';

/** Stages are written before the effect that they name, except `sent` and the ends. */
export const stage = z.enum([
  'Locking',
  'Holding',
  'Freezing',
  'Dumping',
  'Transferring',
  'Sent',
  'Stored',
  'Preparing',
  'Restoring',
  'AtResumeGate',
  'Resuming',
  'Running',
  'Resumed',
  'Lost',
  'Stopping',
  'Gone',
  'TornDown',
]);
export type Stage = z.infer<typeof stage>;

const journalContainer = z.object({
  /** Absent: a target's container that the kubelet has not started yet. */
  id: z.string().optional(),
  name: z.string(),
  /** Directory on the host. */
  bundle: z.string().optional(),
  /** A target's: when its create began, in milliseconds since the epoch by this node's clock. */
  since: z.number().optional(),
  /** A target's: which of that create's attempts was answered. */
  attempt: z.number().optional(),
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
  /** A target's in the order in which the kubelet starts them. */
  containers: z.array(journalContainer).default([]),
  /** Sandbox of a target in which the pod's shared files (volumes, /dev/shm) have been put in place. */
  filesIn: z.string().optional(),
  steps: z.array(Step).default([]),
  /** Peers that give up: until when it has to be decided, by this node's clock. */
  peerDeadline: z.string().optional(),
  /** The decision as this agent has learnt it: a target's by its own proposal, a source's that hands over. */
  decided: z.enum(['Committed', 'Aborted']).optional(),
  /** Found out before a source was let go on: there was nothing to let go on. */
  lost: z.boolean().optional(),
  /** A failure that has been found but may not have been recorded as a decision yet. */
  reason: z.string().optional(),
  message: z.string().optional(),
});
export type Entry = z.infer<typeof entry>;

/** Nothing is under way any more, nor will be. */
const over: ReadonlySet<Stage> = new Set([
  ...(['Running', 'Resumed', 'Lost', 'Gone', 'TornDown', 'Stored'] as const),
]);
export const isOver = ({ stage: reached }: Pick<Entry, 'stage'>): boolean => over.has(reached);

/** CRIU rebuilds a target or has rebuilt it, and nothing of it has run: it can be restored once more. */
export const isRestoring = ({ stage: reached }: { stage: Stage | undefined }): boolean =>
  reached === 'Restoring' || reached === 'AtResumeGate';

const fileName = (id: string, role: Entry['role']) => `${id}.${role}.json`;

export class Journal {
  readonly #folder: Folder;
  readonly #entries = new Map<string, Entry>();
  /** By file: two writers of one file would spoil each other's replacement. */
  readonly #mutex = new KeyedMutex();
  /** Requests that are about to be written down, by the pod that they will be at work on. */
  readonly #claims = new Map<string, string>();

  private constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** Reads what a former agent left. Files that cannot be read are returned, not hidden. */
  static async open(place: string | Folder): Promise<{ journal: Journal; unreadable: string[] }> {
    const folder = typeof place === 'string' ? new DiskFolder(place) : place;
    const journal = new Journal(folder);
    const unreadable: string[] = [];
    for (const name of await folder.names()) {
      if (!name.endsWith('.json')) continue;
      const parsed = entry.safeParse(parseJson(await folder.read(name)));
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

  /**
   * Whether a request may lock, freeze and thaw a pod: one at a time, or one would thaw what another has frozen. The
   * operator accepts one at a time, too, but an agent that was restarted may be at work on one that has ended meanwhile.
   */
  claim(podUid: string, id: string): boolean {
    const others = this.all().filter((one) => one.podUid === podUid && one.id !== id);
    if (others.some((one) => one.role !== 'target' && !isOver(one))) return false;
    const holder = this.#claims.get(podUid);
    if (holder !== undefined && holder !== id && !others.some((one) => one.id === holder)) {
      return false;
    }
    this.#claims.set(podUid, id);
    return true;
  }

  /** A claim of which nothing has come. */
  unclaim(podUid: string, id: string): void {
    if (this.#claims.get(podUid) === id) this.#claims.delete(podUid);
  }

  /** Durable when it resolves. */
  async put(content: Entry): Promise<void> {
    const name = fileName(content.id, content.role);
    await this.#mutex.run(name, () => this.#replace(name, content));
  }

  /** As put, of what the entry is when its turn has come: for those who write beside a reconciler's run. */
  async change(id: string, role: Entry['role'], work: (now?: Entry) => Entry): Promise<void> {
    const name = fileName(id, role);
    await this.#mutex.run(name, () => this.#replace(name, work(this.#entries.get(name))));
  }

  async remove(id: string, role: Entry['role']): Promise<void> {
    const name = fileName(id, role);
    await this.#mutex.run(name, async () => {
      await this.#folder.remove(name);
      const podUid = this.#entries.get(name)?.podUid;
      this.#entries.delete(name);
      if (podUid !== undefined) this.unclaim(podUid, id);
    });
  }

  async #replace(name: string, content: Entry): Promise<void> {
    const text = `${JSON.stringify(entry.parse(content))}\n`;
    await withFaults('journal.write', () => this.#folder.replace(name, text));
    this.#entries.set(name, content);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
