// SPDX-License-Identifier: Apache-2.0
// What this agent has begun for each request. The agent writes the journal to the disk before it acts, so a restarted
// agent undoes or continues from it. Each request and role has one small file, which is replaced as a whole and fsync'd.
import { z } from 'zod';
import { GidEntry, Nak, Step } from '../../../../crds/src/index.ts';
import { KeyedMutex, withFaults } from '../../../../kube/src/index.ts';
import { DiskDirectory, type Directory } from './journal-directory.ts';

/**
 * The agent writes a stage before the effect that the stage names. It writes `Sent`, `Stored` and the final stages after
 * their effects. docs/protocol.md has the table of stages.
 */
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
  /** Absent while the kubelet has not created a target's container yet. */
  id: z.string().optional(),
  name: z.string(),
  /** OCI bundle: a directory on the host. */
  bundle: z.string().optional(),
});

export const entry = z.object({
  version: z.literal(1),
  /** UID of the request, which is part of the file's name. */
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
  /** A target's containers are in the order in which the kubelet starts them. */
  containers: z.array(journalContainer).default([]),
  /** Target: the sandbox in which the agent has unpacked the pod's shared files (volumes, /dev/shm). */
  filesIn: z.string().optional(),
  steps: z.array(Step).default([]),
  /** Until when the request must be decided (blackout), by this node's clock. */
  deadline: z.string().optional(),
  /** The pod's network probes. The agent answers them from this entry on until the request is over. */
  probes: z
    .object({
      addresses: z.array(z.string()),
      ports: z.array(z.number()),
      userAgents: z.array(z.string()),
      timeoutMs: z.number().optional(),
    })
    .optional(),
  /** Target: GID tables of its devices, at the create gate. */
  gids: z.array(GidEntry).optional(),
  /** Target: the source's addresses that the pod has in this sandbox, by the digest that the source's agent reports. */
  fabric: z.object({ digest: z.string(), sandboxId: z.string() }).optional(),
  /** Source: addresses that the target keeps. They are not given to other pods of this node. */
  addresses: z.array(z.string()).optional(),
  /** Source: addresses that this node's IPAM has given to the pod in its RDMA network. They are reserved likewise. */
  fabricAddresses: z.array(z.string()).optional(),
  /** Source: addresses in the cluster's network that the target does not get. */
  lostAddresses: z.array(z.string()).optional(),
  /**
   * Addresses in the cluster's network whose TCP connections end with the move. Source: all that the pod loses, if it may; the peers
   * get resets from them once it is committed. Target: those that CRIU is lent, and whose connections the agent then resets.
   */
  resets: z.array(z.string()).optional(),
  /** For peers with a retry limit: until when the request must be decided, by this node's clock. */
  peerDeadline: z.string().optional(),
  /** Source: NAKs that end a connection, and that its queue pairs keep. They go with the tasks. */
  naks: z.array(Nak).optional(),
  /** Target: when the agent began to let the containers run, by this node's clock. */
  resumedAt: z.string().optional(),
  /** The decision as this agent has read it: a target after its own proposal, a source before it stops. */
  decided: z.enum(['Committed', 'Aborted']).optional(),
  /** Source: whether the agent found the pod lost when it was about to resume it. */
  lost: z.boolean().optional(),
  /** A failure that this agent has found. The decision may not have it yet. */
  reason: z.string().optional(),
  message: z.string().optional(),
});
export type Entry = z.infer<typeof entry>;

/** Stages after which the agent does nothing more for the request. */
const finalStages: ReadonlySet<Stage> = new Set([
  ...(['Running', 'Resumed', 'Lost', 'Gone', 'TornDown', 'Stored'] as const),
]);
export const isOver = ({ stage: reached }: Pick<Entry, 'stage'>): boolean =>
  finalStages.has(reached);

/** Whether CRIU restores a target or has restored it, and no task has run: it can be restored again. */
export const isRestoring = ({ stage: reached }: { stage: Stage | undefined }): boolean =>
  reached === 'Restoring' || reached === 'AtResumeGate';

/**
 * A target's stage. Where the disk took nothing when its agent began to resume it, the API server has that instead of the journal.
 * @param reported the state of the agent's part of the status
 */
export const targetStage = (entry: Entry | undefined, reported: string | undefined) =>
  entry && isRestoring(entry) && reported === 'Running' ? 'Resuming' : entry?.stage;

const fileName = (id: string, role: Entry['role']) => `${id}.${role}.json`;

export class Journal {
  readonly #directory: Directory;
  readonly #entries = new Map<string, Entry>();
  /** One writer per file at a time: two would spoil each other's temporary file. */
  readonly #mutex = new KeyedMutex();
  /** UID of the request that has claimed a pod and has no entry yet, by the pod's UID. */
  readonly #claims = new Map<string, string>();
  readonly #listeners: (() => void)[] = [];

  private constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** Reads what a former agent wrote. Returns the names of the files that it cannot read. */
  static async open(
    location: string | Directory,
  ): Promise<{ journal: Journal; unreadable: string[] }> {
    const directory = typeof location === 'string' ? new DiskDirectory(location) : location;
    const journal = new Journal(directory);
    const unreadable: string[] = [];
    for (const name of await directory.names()) {
      if (!name.endsWith('.json')) continue;
      const parsed = entry.safeParse(parseJson(await directory.read(name)));
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

  /** Calls the listener after each change, before the change's promise resolves. */
  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * What this node has begun with a pod for another request than `id`, and not ended: one would thaw what the other has frozen. A
   * target that has begun to resume is repeated until its last entry is durable.
   */
  busyWith(podUid: string, id: string): Entry | undefined {
    const isBusy = (one: Entry): boolean =>
      one.role === 'target' ? one.stage === 'Resuming' : !isOver(one);
    return this.all().find((one) => one.podUid === podUid && one.id !== id && isBusy(one));
  }

  /**
   * Claims a pod for a request. One request at a time may lock, freeze and thaw a pod, or one would thaw what another
   * has frozen. The operator accepts one at a time too, but a restarted agent may still work on one that has ended.
   * @returns whether the request has the pod now
   */
  claim(podUid: string, id: string): boolean {
    if (this.busyWith(podUid, id)) return false;
    const others = this.all().filter((one) => one.podUid === podUid && one.id !== id);
    const claimedBy = this.#claims.get(podUid);
    const isBegun = others.some((one) => one.id === claimedBy);
    if (claimedBy !== undefined && claimedBy !== id && !isBegun) {
      return false;
    }
    this.#claims.set(podUid, id);
    return true;
  }

  /** Gives up a claim. */
  unclaim(podUid: string, id: string): void {
    if (this.#claims.get(podUid) === id) this.#claims.delete(podUid);
  }

  /** Replaces the entry. It is durable once this resolves. */
  async put(content: Entry): Promise<void> {
    const name = fileName(content.id, content.role);
    await this.#mutex.run(name, () => this.#replace(name, content));
  }

  /**
   * As `put`. Where the disk takes nothing, because it is full or read-only, the entry counts for this process until a later
   * write: for what must not wait for a disk, as a restarted agent reads the same from the API server.
   * @returns whether it is durable
   */
  async putIfPossible(content: Entry): Promise<boolean> {
    const name = fileName(content.id, content.role);
    entry.parse(content);
    return this.#mutex.run(name, async () => {
      try {
        await this.#replace(name, content);
        return true;
      } catch {
        this.#set(name, content);
        return false;
      }
    });
  }

  /**
   * As `change`, for this process alone: the next `put` or `change` writes it. For what a restarted agent can do without, as
   * the end of a step: a write to the disk would lengthen the blackout.
   */
  async note(id: string, role: Entry['role'], update: (now?: Entry) => Entry): Promise<void> {
    const name = fileName(id, role);
    await this.#mutex.run(name, () => {
      this.#set(name, update(this.#entries.get(name)));
      return Promise.resolve();
    });
  }

  /** Replaces the entry by what `update` makes of the current one: for writers beside a reconciler's run. */
  async change(id: string, role: Entry['role'], update: (now?: Entry) => Entry): Promise<void> {
    const name = fileName(id, role);
    await this.#mutex.run(name, () => this.#replace(name, update(this.#entries.get(name))));
  }

  async remove(id: string, role: Entry['role']): Promise<void> {
    const name = fileName(id, role);
    await this.#mutex.run(name, async () => {
      await this.#directory.remove(name);
      const podUid = this.#entries.get(name)?.podUid;
      this.#entries.delete(name);
      if (podUid !== undefined) this.unclaim(podUid, id);
      for (const changed of this.#listeners) changed();
    });
  }

  async #replace(name: string, content: Entry): Promise<void> {
    const text = `${JSON.stringify(entry.parse(content))}\n`;
    try {
      await withFaults('journal.write', () => this.#directory.replace(name, text));
    } catch (error) {
      // The file may have been replaced all the same, for example if only the directory could not be synchronised. Then the
      // entry is there, as it would be for the next agent: else nobody would ever remove it.
      if ((await this.#directory.read(name).catch(() => undefined)) === text)
        this.#set(name, content);
      throw error;
    }
    this.#set(name, content);
  }

  #set(name: string, content: Entry): void {
    this.#entries.set(name, content);
    for (const changed of this.#listeners) changed();
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
