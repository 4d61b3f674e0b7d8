// SPDX-License-Identifier: Apache-2.0
// Wires the agent. Each reconciler gets an informer of the requests that name this node and a controller that runs it.
// The informers, the gates and the image receiver put a request's key on its controller's queue.
import { fieldManagers, type MigrationRequest, type RestoreRequest } from '../../crds/src/index.ts';
import {
  checkpointRequests,
  Controller,
  Informer,
  keyOf,
  migrationRequests,
  problemOf,
  realClock,
  restoreRequests,
  type Api,
  type ApiObject,
  type Clock,
  type Logger,
  type Pod,
  type Resource,
} from '../../kube/src/index.ts';
import { Gates } from './callers/gates.ts';
import {
  requestOf,
  RequestLookup,
  type Handover,
  type HandoverKind,
  type RequestName,
} from './callers/request-lookup.ts';
import { socketHandlers } from './callers/socket/handlers.ts';
import type { SocketHandlers } from './callers/socket/server.ts';
import { probedPods } from './node/probes/probed-pods.ts';
import type { NodeOperations, Server } from './node/operations.ts';
import { IncomingImages } from './node/transfer/incoming-images.ts';
import { CheckpointReconciler } from './reconcilers/checkpoint/reconciler.ts';
import { handoverLoop, type HandoverReconciler } from './reconcilers/handover-loop.ts';
import { Finishing } from './reconcilers/finishing.ts';
import { isInProgress, type AnyRequest } from './reconcilers/in-progress.ts';
import { ImageSenderReconciler } from './reconcilers/image-sender/reconciler.ts';
import { AddressKeeper } from './reconcilers/address-keeper.ts';
import { FabricAddressKeeper } from './reconcilers/fabric-address-keeper.ts';
import { OrphanSweep } from './reconcilers/orphan-sweep.ts';
import { Publisher } from './reconcilers/publisher.ts';
import { Wakes } from './reconcilers/wakes.ts';
import { SourceReconciler } from './reconcilers/source/reconciler.ts';
import { recordPreparation } from './reconcilers/target/journal-entry.ts';
import { TargetReconciler } from './reconcilers/target/reconciler.ts';
import type { Config } from './support/config.ts';
import type { Entry, Journal } from './support/journal/journal.ts';
import { microTimestamp } from './support/step-times.ts';

/** Bounds one run of a reconciler, a dump or a transfer included. The request's own deadlines end earlier. */
const RUN_TIMEOUT_MS = 110_000;
/** Short, because attempts are repeated within the blackout. */
const BACKOFF = { baseMs: 50, maxMs: 2000 };
const SWEEP_INTERVAL_MS = 60_000;

export interface AgentOptions {
  api: Api;
  config: Config;
  journal: Journal;
  log: Logger;
  node: NodeOperations;
  /** Serves the agent's socket with these handlers. */
  socket: (handlers: SocketHandlers) => Server;
  clock?: Clock;
}

/** The agent's part of a request's status, and the field manager that owns it. */
const ownedParts = {
  source: { manager: fieldManagers.sourceAgent, field: 'sourceAgent' },
  target: { manager: fieldManagers.targetAgent, field: 'targetAgent' },
  checkpoint: { manager: fieldManagers.checkpointAgent, field: 'agent' },
} as const;

export class Agent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #gates = new Gates();
  readonly #pods: RequestLookup;
  readonly #incoming: IncomingImages;
  readonly #informers: Informer<never>[] = [];
  /** Those of the requests that name this node. */
  readonly #requests: { list(): readonly ApiObject[] }[] = [];
  readonly #targets: { kind: HandoverKind; informer: { list(): readonly Handover[] } }[] = [];
  readonly #controllers: Controller[] = [];
  readonly #keepers: readonly (AddressKeeper | FabricAddressKeeper)[];
  readonly #finishing: Finishing;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#pods = new RequestLookup(options.api, (pod) => this.#requestFor(pod));
    this.#incoming = new IncomingImages(options.log);
    this.#finishing = new Finishing(options.journal, this.#clock);
    this.#addSource();
    this.#addTarget('MigrationRequest', migrationRequests, migrationImages);
    this.#addTarget('RestoreRequest', restoreRequests, restoreImages);
    this.#addCheckpoint();
    this.#addImageSender();
    this.#keepers = this.#addressKeepers();
  }

  /** Which kinds of request it does not follow, and why; undefined: it follows all of them. */
  get problem(): string | undefined {
    return problemOf(this.#informers);
  }

  /** Serves until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { node, socket, journal, log, config } = this.#options;
    this.#answerProbes();
    await node.prepare();
    const receiver = node.receiver(this.#incoming.callbacks);
    await receiver.listen();
    const running = [
      ...this.#informers.map((informer) => informer.run(signal)),
      ...this.#controllers.map((controller) => controller.run(signal)),
      ...this.#keepers.map((keeper) => keeper.run(signal)),
    ];
    // The socket answers a `create` from the requests, so it opens after the informers have listed them.
    await Promise.race([
      Promise.all(this.#informers.map((informer) => informer.synced)),
      new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
    ]);
    const server = socket(
      socketHandlers({
        node,
        journal,
        gates: this.#gates,
        pods: this.#pods,
        recordPreparation: (target, atGate, seen) =>
          recordPreparation(journal, target, atGate, seen),
      }),
    );
    if (!signal.aborted) await server.listen();
    log.info({ node: config.nodeName }, 'agent ready');
    await Promise.all([...running, this.#sweepOrphans(signal)]);
    await Promise.all([receiver.close(), server.close(), node.probes?.close()]);
  }

  /**
   * Begins nothing for a further pod.
   * @returns when everything that has begun is over and reported, at the latest after 45 s
   */
  finish(): Promise<void> {
    return this.#finishing.finish();
  }

  /** The request that names the pod as its target. */
  #requestFor(pod: Pod): RequestName | undefined {
    for (const { kind, informer } of this.#targets) {
      const request = requestOf(pod, informer.list());
      if (request) return { kind, key: keyOf(request) };
    }
    return undefined;
  }

  /** Answers the network probes of the pods that the journal says are locked, also of those from before a restart. */
  #answerProbes(): void {
    const { node, journal } = this.#options;
    const { probes } = node;
    if (!probes) return;
    const update = () => probes.answerFor(probedPods(journal.all()));
    journal.listen(update);
    update();
    probes.start();
  }

  /** What every reconciler may use. */
  get #shared() {
    const { api, config, journal, node } = this.#options;
    return {
      api,
      journal,
      nodeName: config.nodeName,
      certificateDir: config.tlsDir,
      pods: this.#pods,
      gates: this.#gates,
      checkpointer: node.checkpointer,
      inspector: node.inspector,
      restorer: node.restorer,
      store: node.store,
      send: node.send,
      connections: node.connections,
      diagnostics: node.diagnostics,
      probes: node.probes,
      podIp: node.podIp,
      fabricAddresses: node.fabricAddresses,
      memory: node.memory,
      arrived: node.arrivedMemory,
      removeWork: (id: string) => node.removeWork(id),
      clock: this.#clock,
    };
  }

  #addSource(): void {
    const informer = this.#informer(migrationRequests, 'status.source.nodeName');
    const source = new SourceReconciler({
      ...this.#shared,
      wakes: wakesOf(informer),
      request: (key) => informer.get(key),
      publisher: this.#publisher(migrationRequests, 'source'),
    });
    informer.listen((_key, after) => {
      if (after) source.interrupt(after);
    });
    this.#reconcile('source', informer, source, 'source');
  }

  /** @param ownImages the directory in which the node that took the checkpoint stores a request's images */
  #addTarget<T extends Handover>(
    kind: HandoverKind,
    resource: Resource<T>,
    ownImages: (request: T) => string,
  ): void {
    const informer = this.#informer(resource, 'status.target.nodeName');
    this.#targets.push({ kind, informer });
    // A checkpoint of this node is restored from where it is stored; images from another node get the request's directory.
    const imageId = (request: T): string =>
      request.status?.source?.nodeName === this.#options.config.nodeName
        ? ownImages(request)
        : request.metadata.uid;
    const target = new TargetReconciler<T>({
      ...this.#shared,
      wakes: wakesOf(informer),
      kind,
      resource,
      imageId,
      request: (key) => informer.get(key),
      arriving: () => informer.list(),
      receiving: (id) => this.#incoming.isReceiving(id),
      publisher: this.#publisher(resource, 'target'),
    });
    const controller = this.#reconcile(`target-${kind}`, informer, target, 'target');
    this.#gates.onChange((uid) => {
      const request = informer.list().find((one) => one.metadata.uid === uid);
      if (request) controller.enqueue(keyOf(request));
    });
    this.#incoming.listen({
      awaits: (id) => {
        const request = informer.list().find((one) => one.metadata.uid === id);
        const node = request?.status?.source?.nodeName;
        if (!request || node === undefined || this.#gates.listAtCreateGate(id).length === 0) {
          return undefined;
        }
        return { imageId: ownImages(request), node };
      },
      changed: async (id, begun) => {
        const request = informer.list().find((one) => imageId(one) === id);
        if (!request) return;
        if (begun) await target.received(request, begun, microTimestamp());
        controller.enqueue(keyOf(request));
      },
    });
  }

  #addCheckpoint(): void {
    const informer = this.#informer(checkpointRequests, 'status.nodeName');
    const checkpoint = new CheckpointReconciler({
      ...this.#shared,
      request: (key) => informer.get(key),
      publisher: this.#publisher(checkpointRequests, 'checkpoint'),
    });
    informer.listen((_key, after) => {
      if (after) checkpoint.interrupt(after);
    });
    this.#reconcile('checkpoint', informer, checkpoint, 'checkpoint');
  }

  #addImageSender(): void {
    const informer = this.#informer(restoreRequests, 'status.source.nodeName');
    const imageSender = new ImageSenderReconciler({
      ...this.#shared,
      request: (key) => informer.get(key),
      publisher: this.#publisher(restoreRequests, 'source'),
    });
    this.#reconcile('image-sender', informer, imageSender);
  }

  #addressKeepers(): (AddressKeeper | FabricAddressKeeper)[] {
    const { api, log, config, journal, node } = this.#options;
    const { podIp, fabricAddresses: addresses } = node;
    const shared = { api, log, clock: this.#clock, nodeName: config.nodeName, journal };
    const keepers = [
      ...(podIp ? [new AddressKeeper({ ...shared, podIp })] : []),
      ...(addresses ? [new FabricAddressKeeper({ ...shared, addresses })] : []),
    ];
    this.#informers.push(...keepers.map(({ informer }) => informer as unknown as Informer<never>));
    return keepers;
  }

  /** An informer of the requests whose `nodeField` names this node. */
  #informer<T extends ApiObject>(resource: Resource<T>, nodeField: string): Informer<T> {
    const { api, log, config } = this.#options;
    const selection = { fieldSelector: `${nodeField}=${config.nodeName}` };
    const informer = new Informer({ api, resource, log, clock: this.#clock, selection });
    this.#informers.push(informer as unknown as Informer<never>);
    this.#requests.push(informer);
    return informer;
  }

  #publisher<T extends ApiObject>(
    resource: Resource<T>,
    part: keyof typeof ownedParts,
  ): Publisher<T> {
    const { api } = this.#options;
    return new Publisher({ api, resource, ...ownedParts[part], clock: this.#clock });
  }

  /**
   * Runs the reconciler for every request of the informer, and lets it forget the requests that are deleted.
   * @param role in which it works on a pod; absent: on none
   */
  #reconcile<T extends ApiObject & AnyRequest, O, E extends { readonly type: string }, S>(
    name: string,
    informer: Informer<T>,
    reconciler: HandoverReconciler<O, E, S>,
    role?: Entry['role'],
  ): Controller {
    const { journal } = this.#options;
    const loop = handoverLoop(reconciler, this.#clock);
    // A pod that is locked or frozen, or whose move is decided, waits for no other pod: not even for four dumps.
    const isUrgent = (key: string): boolean => {
      const request = informer.get(key);
      return role !== undefined && request !== undefined && isInProgress(journal, request, role);
    };
    const mayRun = (key: string): boolean => this.#finishing.mayRun(informer.get(key), role);
    const controller = new Controller({
      name,
      reconcile: (key, context) => (mayRun(key) ? loop(key, context) : Promise.resolve()),
      log: this.#options.log,
      clock: this.#clock,
      timeoutMs: RUN_TIMEOUT_MS,
      backoff: BACKOFF,
      ...(role !== undefined && { isUrgent }),
    });
    informer.listen((key, after, before) => {
      if (!after && before) reconciler.forget(before.metadata.uid);
      controller.enqueue(key);
    });
    this.#controllers.push(controller);
    const requests = () => informer.list();
    this.#finishing.add({ role, requests, running: () => controller.running });
    return controller;
  }

  async #sweepOrphans(signal: AbortSignal): Promise<void> {
    const requests = () => this.#requests.flatMap((informer) => informer.list());
    const orphans = new OrphanSweep({ ...this.#shared, log: this.#options.log, requests });
    while (!signal.aborted) {
      await orphans.sweep();
      await this.#clock.sleep(SWEEP_INTERVAL_MS, signal);
    }
  }
}

/** Those who wait for a change of a request are woken with it. */
function wakesOf<T extends ApiObject>(informer: Informer<T>): Wakes {
  const wakes = new Wakes();
  informer.listen((key) => wakes.wake(key));
  return wakes;
}

/** A migration's images have the request's own directory on both nodes. */
const migrationImages = (request: MigrationRequest): string => request.metadata.uid;

/** A restore's images have the checkpoint's directory on the node that took it. */
const restoreImages = (request: RestoreRequest): string =>
  request.status?.checkpointId ?? request.metadata.uid;
