// SPDX-License-Identifier: Apache-2.0
// The operator's controllers and what enqueues their keys. Runs only while this process leads.
import { isDeepStrictEqual } from 'node:util';
import {
  Controller,
  EventRecorder,
  Informer,
  keyOf,
  checkpointRequests,
  migrationPolicies,
  migrationRequests,
  namespaces,
  nodes,
  pods,
  problemOf,
  realClock,
  reconciler,
  restoreRequests,
  type Api,
  type ApiObject,
  type Clock,
  type Logger,
} from '../../kube/src/index.ts';
import {
  annotations,
  isFinished,
  labels,
  type MigrationRequest,
  type RestoreRequest,
} from '../../crds/src/index.ts';
import { AgentSigner } from './certificates/agent-signer.ts';
import { checkpointParts } from './checkpoint/reconcile.ts';
import { Evictor } from './evictions/evictor.ts';
import { EvictionGuard } from './evictions/guard.ts';
import { nodeTriggerParts } from './evictions/node-trigger.ts';
import { ImageKeyStore } from './image-keys/image-key-store.ts';
import { firstMoveOf } from './migration/landing.ts';
import { migrationParts } from './migration/reconcile.ts';
import { restoreParts } from './restore/reconcile.ts';
import { defaultLimits, type MoveLimits } from './moves/limits.ts';
import { MoveQueue } from './moves/move-queue.ts';
import { AgentLeases } from './nodes/agent-leases.ts';
import { isPrepared } from './requests/deadlines.ts';
import { PodWatches } from './requests/pod-watches.ts';
import { Dependencies } from './requests/dependencies.ts';

export interface OperatorOptions {
  readonly api: Api;
  readonly log: Logger;
  readonly clock?: Clock;
  /** How many migrations may be under way at a time. */
  readonly limits?: MoveLimits;
  /** Where the agents' Leases are. Absent: the operator takes every agent for alive. */
  readonly namespace?: string | undefined;
  /** The agents' service account, `system:serviceaccount:<namespace>:<name>`. Absent: agents get no certificates. */
  readonly agentAccount?: string | undefined;
  /** The chart's ValidatingWebhookConfiguration of evictions. Absent: there is no webhook, and nothing to guard. */
  readonly webhookConfiguration?: string | undefined;
  /** The Secret in which the operator keeps the keys of stored images. Absent: somebody else does, or nobody. */
  readonly imageKeySecret?: string | undefined;
  /** Paths of nodes below which every node has the same files. */
  readonly sharedHostPaths?: readonly string[] | undefined;
  /** The node whose clock this process has. Absent: not known; a process then counts anew how long a finished request is kept. */
  readonly nodeName?: string | undefined;
}

/** A cache, as far as /readyz asks for it. */
type Followed = Pick<Informer<never>, 'problem'>;

export class Operator {
  readonly #options: OperatorOptions;
  #informers: readonly Followed[] = [];

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** Which kinds it does not follow, and why; undefined: it follows all of them. */
  get problem(): string | undefined {
    if (this.#informers.length === 0) return 'Not every kind is listed yet.';
    return problemOf(this.#informers);
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { api, log, clock = realClock, limits = defaultLimits } = this.#options;
    const { namespace, agentAccount: account, imageKeySecret: secret } = this.#options;
    const { webhookConfiguration: configuration } = this.#options;
    const migrations = new Informer({ api, resource: migrationRequests, log, clock });
    const checkpoints = new Informer({ api, resource: checkpointRequests, log, clock });
    const restores = new Informer({ api, resource: restoreRequests, log, clock });
    // Pods with other labels are read when they are needed.
    const targets = new Informer({
      ...{ api, resource: pods, log, clock },
      selection: { labelSelector: labels.role },
    });
    const nodeCache = new Informer({ api, resource: nodes, log, clock });
    const policies = new Informer({ api, resource: migrationPolicies, log, clock });
    const agents =
      namespace === undefined ? undefined : new AgentLeases({ api, log, clock, namespace });
    const signer =
      namespace === undefined || account === undefined
        ? undefined
        : new AgentSigner({ api, log, clock, namespace, account });
    const imageKeys =
      namespace === undefined || secret === undefined
        ? undefined
        : new ImageKeyStore({ api, log, clock, namespace, secret });
    const events = new EventRecorder({ api, log, component: 'sealift-operator', clock });
    const moves = new MoveQueue(limits, clock);
    const spaces = new Informer({ api, resource: namespaces, log, clock });
    const guard =
      configuration === undefined
        ? undefined
        : new EvictionGuard({ api, log, clock, configuration, policies, namespaces: spaces });
    const watches = new PodWatches({ api, log, clock, signal });
    const dependencies = new Dependencies({
      watched: { migrations, restores, checkpoints, pods: watches },
      moves,
      policies,
      api,
      events,
      clock,
      nodes: nodeCache,
      agents,
      sharedHostPaths: this.#options.sharedHostPaths,
      nodeName: this.#options.nodeName,
    });
    const migration = new Controller({
      name: 'migration',
      reconcile: reconciler(migrationParts(dependencies), clock),
      isUrgent: (key) => isUnderWay(migrations.get(key)),
      log,
      clock,
    });
    const checkpoint = new Controller({
      name: 'checkpoint',
      reconcile: reconciler(checkpointParts(dependencies), clock),
      log,
      clock,
    });
    const restore = new Controller({
      name: 'restore',
      reconcile: reconciler(restoreParts(dependencies), clock),
      isUrgent: (key) => isUnderWay(restores.get(key)),
      log,
      clock,
    });
    const evictor = new Evictor({ api, events, log });
    const caches = { nodes: nodeCache, namespaces: spaces, policies };
    const nodeTrigger = new Controller({
      name: 'node-trigger',
      reconcile: reconciler(nodeTriggerParts({ api, evictor, ...caches }), clock),
      log,
      clock,
    });
    const forget = (
      _key: string,
      after: ApiObject | undefined,
      before: ApiObject | undefined,
    ): void => {
      if (!after && before) dependencies.forget(before.metadata.uid);
    };
    migrations.listen(forget);
    checkpoints.listen(forget);
    restores.listen(forget);
    migrations.listen((key, after, before) => {
      moves.update(after, before);
      watches.follow(`migration ${key}`, podsOf(after), () => migration.enqueue(key));
      migration.enqueue(key);
      const first = firstMoveOf(after ?? before);
      if (first !== undefined) migration.enqueue(first);
    });
    checkpoints.listen((key, after) => {
      checkpoint.enqueue(key);
      if (!after || !isFinished(after)) return;
      // A newer checkpoint may make an older one superfluous: spec.retention.keepLast.
      for (const other of checkpoints.list()) {
        const isOfPod = other.status?.podUID === after.status?.podUID;
        if (isOfPod && other.spec.retention?.keepLast !== undefined)
          checkpoint.enqueue(keyOf(other));
      }
    });
    restores.listen((key, after) => {
      watches.follow(`restore ${key}`, podsOf(after), () => restore.enqueue(key));
      restore.enqueue(key);
    });
    targets.listen((_key, after, before) => {
      const pod = after ?? before;
      if (!pod) return;
      const { [annotations.migration]: migrationKey, [annotations.restore]: restoreKey } =
        pod.metadata.annotations;
      if (migrationKey !== undefined) migration.enqueue(migrationKey);
      if (restoreKey !== undefined) restore.enqueue(restoreKey);
    });
    nodeCache.listen((name, after, before) => {
      if (after && !isDeepStrictEqual(after.spec, before?.spec)) nodeTrigger.enqueue(name);
    });
    policies.listen(() => {
      for (const { metadata } of nodeCache.list()) nodeTrigger.enqueue(metadata.name);
    });
    const informers = [
      ...[migrations, checkpoints, restores, targets, nodeCache, policies, spaces],
      ...(guard ? [guard.informer] : []),
      ...(agents ? [agents.informer] : []),
      ...(signer ? [signer.informer] : []),
    ];
    this.#informers = informers;
    const running = informers.map((informer) => informer.run(signal));
    await Promise.race([Promise.all(informers.map((one) => one.synced)), Promise.all(running)]);
    moves.open((key) => migration.enqueue(key));
    const controllers = [migration, checkpoint, restore, nodeTrigger];
    await Promise.all([
      ...running,
      ...controllers.map((one) => one.run(signal)),
      agents?.sweep(() => nodeCache.list(), signal),
      signer?.run(signal),
      imageKeys?.run(signal),
      guard?.run(signal),
    ]);
  }
}

/** Accepted, and not at its end: a pod waits for it, or is about to. It does not wait for those that are new. */
export const isUnderWay = (request: MigrationRequest | RestoreRequest | undefined): boolean =>
  request?.status?.source !== undefined && !isFinished(request);

/**
 * Pods of a request under way: the source, and the target from its create gate on. After `Committed` the targets' label does
 * not show it any more; its watch is there before the blackout begins, so that it costs no request in it.
 */
export function podsOf(request: MigrationRequest | RestoreRequest | undefined): string[] {
  if (!request?.status?.source || !isUnderWay(request)) return [];
  const { namespace } = request.metadata;
  const { source, target, decision } = request.status;
  const names = [
    request.kind === 'MigrationRequest' ? source.podName : undefined,
    decision?.outcome === 'Committed' || isPrepared(request) ? target?.podName : undefined,
  ];
  return names.filter((name) => name !== undefined).map((name) => `${namespace}/${name}`);
}
