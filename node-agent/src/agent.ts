// SPDX-License-Identifier: Apache-2.0
// The agent's parts, put together: informers of this node's requests feed one controller per role; the socket,
// the receiver and the gates wake them.
import {
  fieldManagers,
  type CheckpointRequest,
  type MigrationRequest,
  type RestoreRequest,
} from '../../crds/src/index.ts';
import {
  checkpointRequests,
  Controller,
  Informer,
  keyOf,
  migrationRequests,
  realClock,
  restoreRequests,
  type Api,
  type ApiObject,
  type Clock,
  type Logger,
  type Reconcile,
  type Resource,
} from '../../kube/src/index.ts';
import { CheckpointReconciler } from './reconcilers/checkpoint/reconciler.ts';
import type { Config } from './support/config.ts';
import type { NodeOperations } from './node/operations.ts';
import type { Journal } from './support/journal/journal.ts';
import { OrphanSweep } from './reconcilers/orphan-sweep.ts';
import { handoverLoop } from './reconcilers/handover-loop.ts';
import { PodRequests, type Handover } from './callers/pod-requests.ts';
import { Publisher } from './reconcilers/publisher.ts';
import { ImageSenderReconciler } from './reconcilers/image-sender/reconciler.ts';
import { socketHandlers } from './callers/socket/handlers.ts';
import { SourceReconciler } from './reconcilers/source/reconciler.ts';
import { Gates } from './callers/gates.ts';
import { TargetReconciler } from './reconcilers/target/reconciler.ts';
import { microTimestamp } from './support/step-times.ts';
import { Incoming } from './node/transfer/incoming.ts';

/** A dump or a transfer may take that long; its request's own deadline comes first. */
const RUN_TIMEOUT_MS = 110_000;
/** Retries within the blackout must not grow long. */
const BACKOFF = { baseMs: 50, maxMs: 2000 };
const SWEEP_MS = 60_000;

export class Agent {
  readonly #api: Api;
  readonly #config: Config;
  readonly #journal: Journal;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #effects: NodeOperations;
  readonly #gates = new Gates();
  readonly #pods: PodRequests;
  readonly #informers: Informer<never>[] = [];
  readonly #controllers: Controller[] = [];
  readonly #incoming: Incoming;
  readonly #migrations: Informer<MigrationRequest>;
  readonly #outgoing: Informer<MigrationRequest>;
  readonly #restores: Informer<RestoreRequest>;

  constructor(parts: {
    api: Api;
    config: Config;
    journal: Journal;
    log: Logger;
    effects: NodeOperations;
    clock?: Clock;
  }) {
    const { api, config } = parts;
    this.#api = api;
    this.#config = config;
    this.#journal = parts.journal;
    this.#log = parts.log;
    this.#clock = parts.clock ?? realClock;
    this.#effects = parts.effects;
    this.#incoming = new Incoming(parts.log);
    this.#pods = new PodRequests(api);
    this.#migrations = this.#informer(migrationRequests, 'status.target.nodeName');
    this.#outgoing = this.#informer(migrationRequests, 'status.source.nodeName');
    this.#restores = this.#informer(restoreRequests, 'status.target.nodeName');
  }

  get synced(): boolean {
    return this.#informers.every((informer) => informer.hasSynced);
  }

  /** Serves until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#effects.prepare();
    this.#addSource();
    this.#addTarget(migrationRequests, 'MigrationRequest', this.#migrations, (r) => r.metadata.uid);
    this.#addTarget(
      restoreRequests,
      'RestoreRequest',
      this.#restores,
      (r) => r.status?.checkpointId ?? r.metadata.uid,
    );
    this.#addCheckpoints();
    this.#addHolder();
    const receiver = this.#effects.receiver(this.#incoming.callbacks);
    await receiver.listen();
    const running = [
      ...this.#informers.map((informer) => informer.run(signal)),
      ...this.#controllers.map((controller) => controller.run(signal)),
    ];
    // Those who wait on the socket are answered once the requests are known.
    await Promise.race([
      Promise.all(this.#informers.map((informer) => informer.synced)),
      new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
    ]);
    const socket = this.#effects.socket(
      socketHandlers({
        effects: this.#effects,
        journal: this.#journal,
        gates: this.#gates,
        pods: this.#pods,
      }),
    );
    if (!signal.aborted) await socket.listen();
    const sweep = this.#sweeping(signal);
    this.#log.info({ node: this.#config.nodeName }, 'agent ready');
    await Promise.all([...running, sweep]);
    await Promise.all([receiver.close(), socket.close()]);
  }

  #informer<T extends ApiObject>(resource: Resource<T>, field: string): Informer<T> {
    const selection = { fieldSelector: `${field}=${this.#config.nodeName}` };
    const informer = new Informer({
      api: this.#api,
      resource,
      log: this.#log,
      clock: this.#clock,
      selection,
    });
    this.#informers.push(informer as unknown as Informer<never>);
    return informer;
  }

  #controller<T extends ApiObject>(
    name: string,
    reconcile: Reconcile,
    informer: Informer<T>,
  ): Controller {
    const controller = new Controller({
      name,
      reconcile,
      log: this.#log,
      clock: this.#clock,
      timeoutMs: RUN_TIMEOUT_MS,
      backoff: BACKOFF,
    });
    informer.listen((key) => controller.enqueue(key));
    this.#controllers.push(controller);
    return controller;
  }

  #addSource(): void {
    const source = new SourceReconciler({
      api: this.#api,
      nodeName: this.#config.nodeName,
      journal: this.#journal,
      checkpointer: this.#effects.checkpointer,
      pods: this.#pods,
      publisher: new Publisher({
        api: this.#api,
        resource: migrationRequests,
        manager: fieldManagers.sourceAgent,
        field: 'sourceAgent',
      }),
      store: this.#effects.store,
      certificateDir: this.#config.tlsDir,
      send: this.#effects.send,
      request: (key) => this.#outgoing.get(key),
      evidence: this.#effects.diagnostics,
      removeWork: (id) => this.#effects.removeWork(id),
      clock: this.#clock,
    });
    this.#outgoing.listen((_key, after, before) => {
      if (after) source.interrupt(after);
      else if (before) source.forget(before.metadata.uid);
    });
    this.#controller('source', handoverLoop(source, this.#clock), this.#outgoing);
  }

  #addTarget<T extends Handover>(
    resource: Resource<T>,
    kind: 'MigrationRequest' | 'RestoreRequest',
    informer: Informer<T>,
    ownId: (request: T) => string,
  ): void {
    // Images that are kept here lie under their own id; what is sent comes into a folder of the request's.
    const imageId = (one: T): string =>
      one.status?.source?.nodeName === this.#config.nodeName ? ownId(one) : one.metadata.uid;
    const target = new TargetReconciler<T>({
      api: this.#api,
      kind,
      resource,
      nodeName: this.#config.nodeName,
      journal: this.#journal,
      gates: this.#gates,
      restorer: this.#effects.restorer,
      store: this.#effects.store,
      publisher: new Publisher({
        api: this.#api,
        resource,
        manager: fieldManagers.targetAgent,
        field: 'targetAgent',
      }),
      request: (key) => informer.get(key),
      imageId,
      receiving: (id) => this.#incoming.has(id),
      evidence: this.#effects.diagnostics,
      removeWork: (id) => this.#effects.removeWork(id),
      clock: this.#clock,
    });
    const controller = this.#controller(
      `target-${kind}`,
      handoverLoop(target, this.#clock),
      informer,
    );
    informer.listen((_key, after, before) => {
      if (!after && before) target.forget(before.metadata.uid);
    });
    this.#gates.onChange((uid) => {
      const request = informer.list().find((one) => one.metadata.uid === uid);
      if (request) controller.enqueue(keyOf(request));
    });
    this.#incoming.listen({
      awaits: (id) => {
        const request = informer.list().find((one) => one.metadata.uid === id);
        return request && this.#gates.atCreate(id).length > 0 ? ownId(request) : undefined;
      },
      changed: async (id, begun) => {
        const request = informer.list().find((one) => imageId(one) === id);
        if (!request) return;
        if (begun) await target.received(request, begun, microTimestamp());
        controller.enqueue(keyOf(request));
      },
    });
  }

  #addCheckpoints(): void {
    const informer = this.#informer<CheckpointRequest>(checkpointRequests, 'status.nodeName');
    const checkpoints = new CheckpointReconciler({
      nodeName: this.#config.nodeName,
      journal: this.#journal,
      checkpointer: this.#effects.checkpointer,
      pods: this.#pods,
      publisher: new Publisher({
        api: this.#api,
        resource: checkpointRequests,
        manager: fieldManagers.checkpointAgent,
        field: 'agent',
      }),
      store: this.#effects.store,
      request: (key) => informer.get(key),
      evidence: this.#effects.diagnostics,
      removeWork: (id) => this.#effects.removeWork(id),
      clock: this.#clock,
    });
    informer.listen((_key, after, before) => {
      if (!after && before) checkpoints.forget(before.metadata.uid);
    });
    this.#controller('checkpoint', handoverLoop(checkpoints, this.#clock), informer);
  }

  #addHolder(): void {
    const informer = this.#informer<RestoreRequest>(restoreRequests, 'status.source.nodeName');
    const holder = new ImageSenderReconciler({
      nodeName: this.#config.nodeName,
      store: this.#effects.store,
      certificateDir: this.#config.tlsDir,
      send: this.#effects.send,
      publisher: new Publisher({
        api: this.#api,
        resource: restoreRequests,
        manager: fieldManagers.sourceAgent,
        field: 'sourceAgent',
      }),
      request: (key) => informer.get(key),
      clock: this.#clock,
    });
    informer.listen((_key, after, before) => {
      if (!after && before) holder.forget(before.metadata.uid);
    });
    this.#controller('holder', handoverLoop(holder, this.#clock), informer);
  }

  async #sweeping(signal: AbortSignal): Promise<void> {
    const leftovers = new OrphanSweep({
      api: this.#api,
      nodeName: this.#config.nodeName,
      journal: this.#journal,
      gates: this.#gates,
      checkpointer: this.#effects.checkpointer,
      store: this.#effects.store,
      removeWork: (id) => this.#effects.removeWork(id),
      log: this.#log,
      clock: this.#clock,
    });
    while (!signal.aborted) {
      await leftovers.sweep();
      await this.#clock.sleep(SWEEP_MS, signal);
    }
  }
}
