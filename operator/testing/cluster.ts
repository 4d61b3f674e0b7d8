// SPDX-License-Identifier: Apache-2.0
// A real API server with the real operator. The test writes what kubelet, scheduler and agents would write, in the same
// form.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import {
  annotations,
  fieldManagers,
  labels,
  RUNTIME_CLASS,
  type CheckpointAgent,
  type CheckpointRequest,
  type Decision,
  type MigrationRequest,
  type RestoreRequest,
  type SourceAgent,
  type TargetAgent,
} from '../../crds/src/index.ts';
import {
  checkpointRequests,
  proposeDecision,
  EventRecorder,
  Informer,
  isNotFound,
  migrationRequests,
  nodes,
  pods,
  restoreRequests,
  silent,
  writeStatus,
  type ApiObject,
  type Client,
  type Pod,
  type Resource,
} from '../../kube/src/index.ts';
import { startApiServer, type TestServer } from '../../kube/testing/api-server.ts';
import { render } from '../../kube/testing/chart.ts';
import { clockAt } from '../../kube/testing/clock.ts';
import { Operator, type OperatorOptions } from '../src/operator.ts';
import { Dependencies } from '../src/requests/dependencies.ts';

export const FABRIC = { name: 'fabric', config: { type: 'macvlan', ipam: { type: 'static' } } };
const namespace = 'default';
const ready = { type: 'Ready', status: 'True' };
const now = (): string => new Date().toISOString();

/** Of a pod that has this address. */
export const macOf = (ip: string): string =>
  ['02:00', ...ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');

/** Parts of a status, to match. */
export const failed = (reason: string): object => ({
  conditions: expect.arrayContaining([
    expect.objectContaining({ type: 'Failed', status: 'True', reason }),
    expect.objectContaining({ type: 'Succeeded', status: 'False', reason }),
  ]) as unknown,
});
export const ended = (phase: string): object => ({
  phase,
  completionTime: expect.any(String) as string,
});
export const networksOf = (pod: Pod | undefined): unknown =>
  JSON.parse(pod?.metadata.annotations[annotations.networks] ?? 'null');

type Handover = MigrationRequest | RestoreRequest;

/** Polls for longer than usual: the machine may be busy. */
export const eventually = <T>(see: () => T): ReturnType<typeof expect.poll<T>> =>
  expect.poll(see, { timeout: 30_000, interval: 50 });

export class Cluster {
  readonly server: TestServer;
  readonly client: Client;
  /** The API with the rights of the operator. */
  operator: Client;
  #stop: AbortController | undefined;
  /** By how much the operator's clock is ahead of that of this process. */
  skippedMs = 0;
  #running: Promise<void> | undefined;

  private constructor(server: TestServer) {
    this.server = server;
    this.client = server.client;
    this.operator = server.client;
  }

  /** Nodes `a` and `b` with Sealift, `old` with another driver, `bare` without; one static network. */
  static async start(): Promise<Cluster> {
    const cluster = new Cluster(await startApiServer());
    try {
      await cluster.addNode('a', 'rxe-1');
      await cluster.addNode('b', 'rxe-1');
      await cluster.addNode('old', 'rxe-0');
      await cluster.addNode('bare', undefined);
      await cluster.#network();
      await cluster.#rights();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** @param abi of its driver; undefined: no Sealift there */
  async addNode(name: string, abi: string | undefined): Promise<void> {
    await this.client.create(nodes, '', {
      metadata: {
        name,
        labels: abi === undefined ? {} : { [labels.driverAbi]: abi },
        annotations: abi === undefined ? {} : { [annotations.agentAddress]: `${name}:7461` },
      },
    });
    // There is no kubelet to renew it, and no controller that looks whether it is renewed.
    const status = { conditions: [{ ...ready, lastTransitionTime: now() }] };
    await this.client.merge(nodes, '', name, { status }, { subresource: 'status' });
    // Nor one that takes away the taint with which the API server makes every node.
    await this.client.merge(nodes, '', name, { spec: { taints: null } });
  }

  async #network(): Promise<void> {
    const names = {
      kind: 'NetworkAttachmentDefinition',
      plural: 'network-attachment-definitions',
      singular: 'network-attachment-definition',
    };
    const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    const group = 'k8s.cni.cncf.io';
    await this.server.create({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${names.plural}.${group}` },
      spec: {
        group,
        names,
        scope: 'Namespaced',
        versions: [
          { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } },
        ],
      },
    });
    const resource: Resource<unknown> = {
      ...names,
      apiVersion: `${group}/v1`,
      namespaced: true,
      parse: (json) => json,
    };
    const body = {
      metadata: { name: FABRIC.name },
      spec: { config: JSON.stringify(FABRIC.config) },
    };
    // The API server takes a moment to serve a new definition.
    for (let attempt = 1; ; attempt++) {
      try {
        await this.client.create(resource, namespace, body);
        return;
      } catch (error) {
        if (!isNotFound(error) || attempt > 100) throw error;
        await sleep(100);
      }
    }
  }

  /** The operator gets the rights that the chart grants. Where there is no helm, it is an administrator. */
  async #rights(): Promise<void> {
    await this.server.create({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'sealift' },
    });
    const manifests = render(this.server, 'rbac.yaml');
    if (!manifests) return;
    for (const one of manifests) await this.server.create(one);
    this.operator = this.server.connect('sealift:sealift-operator');
  }

  /** Starts the operator as its process does once it leads. */
  startOperator(options: Partial<OperatorOptions> = {}): void {
    this.#stop = new AbortController();
    const limits = { cluster: 100, perNode: 100 };
    const clock = clockAt(() => Date.now() + this.skippedMs);
    const operator = new Operator({ api: this.operator, log: silent, limits, clock, ...options });
    this.#running = operator.run(this.#stop.signal);
  }

  async stopOperator(): Promise<void> {
    this.#stop?.abort();
    await this.#running;
  }

  /** What is injected into controllers, with empty caches. */
  dependencies(): Dependencies {
    const api = this.client;
    return new Dependencies({
      api,
      events: new EventRecorder({ api, log: silent, component: 'test' }),
      nodes: new Informer({ api, resource: nodes, log: silent }),
    });
  }

  async stop(): Promise<void> {
    await this.stopOperator();
    await this.server.stop();
  }

  // What users do

  /** A running pod on node `a`. */
  async run(
    name: string,
    parts: {
      ip?: string;
      spec?: object;
      in?: string;
      podAnnotations?: Record<string, string>;
    } = {},
  ): Promise<Pod> {
    const { ip, spec, in: where = namespace, podAnnotations } = parts;
    const network = [{ name: FABRIC.name, ips: [`${ip ?? ''}/24`] }];
    await this.client.create(pods, where, {
      metadata: {
        name,
        labels: { app: name },
        annotations:
          ip === undefined
            ? { ...podAnnotations }
            : {
                ...podAnnotations,
                [annotations.networks]: JSON.stringify(network),
                [annotations.networkStatus]: JSON.stringify([
                  {
                    name: `${where}/${FABRIC.name}`,
                    interface: 'net1',
                    ips: [ip],
                    mac: macOf(ip),
                  },
                ]),
              },
      },
      spec: {
        nodeName: 'a',
        runtimeClassName: RUNTIME_CLASS,
        containers: [{ name: 'main', image: 'x' }],
        ...spec,
      },
    });
    return this.podRuns(name, where);
  }

  migrate(name: string, podName: string, spec: object = {}): Promise<MigrationRequest> {
    return this.#request(migrationRequests, name, { podName, ...spec });
  }

  checkpoint(name: string, podName: string, spec: object = {}): Promise<CheckpointRequest> {
    return this.#request(checkpointRequests, name, { podName, ...spec });
  }

  restore(name: string, checkpointName: string, spec: object = {}): Promise<RestoreRequest> {
    return this.#request(restoreRequests, name, { checkpointName, ...spec });
  }

  async #request<T>(resource: Resource<T>, name: string, spec: object): Promise<T> {
    const made = await this.client.create(resource, namespace, { metadata: { name }, spec });
    return resource.parse(made);
  }

  // What the nodes do

  /** What the kubelet reports about a running pod. */
  async podRuns(name: string, where = namespace): Promise<Pod> {
    const { spec, status: before } = pods.parse(await this.client.getRaw(pods, where, name));
    const running = (one: { name: string }) => ({
      ...{ name: one.name, ready: true, started: true, restartCount: 0, image: 'x', imageID: '' },
      state: { running: { startedAt: now() } },
    });
    const status = {
      phase: 'Running',
      conditions: [...before.conditions.filter(({ type }) => type !== ready.type), ready],
      containerStatuses: spec.containers.map(running),
      initContainerStatuses: spec.initContainers.map(running),
    };
    return this.podStatus(name, status, where);
  }

  podStatus(name: string, status: object, where = namespace): Promise<Pod> {
    return this.client.merge(pods, where, name, { status }, { subresource: 'status' });
  }

  /** What the scheduler does. */
  async bind(name: string, node: string): Promise<void> {
    await this.client.rest.request({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/binding`,
      body: { metadata: { name }, target: { kind: 'Node', name: node } },
    });
  }

  /** What the kubelet does when a pod's containers have ended. */
  async podGone(name: string): Promise<void> {
    await eventually(async () => (await this.pod(name))?.metadata.deletionTimestamp).toBeDefined();
    await this.client.delete(pods, namespace, name, { gracePeriodSeconds: 0 });
  }

  source<T extends Handover>(
    resource: Resource<T>,
    name: string,
    part: SourceAgent,
  ): Promise<void> {
    return this.#agent(resource, name, fieldManagers.sourceAgent, 'sourceAgent', part);
  }

  target<T extends Handover>(
    resource: Resource<T>,
    name: string,
    part: TargetAgent,
  ): Promise<void> {
    return this.#agent(resource, name, fieldManagers.targetAgent, 'targetAgent', part);
  }

  checkpointAgent(name: string, part: CheckpointAgent): Promise<void> {
    const manager = fieldManagers.checkpointAgent;
    return this.#agent(checkpointRequests, name, manager, 'agent', part);
  }

  async #agent<T extends ApiObject>(
    resource: Resource<T>,
    name: string,
    manager: string,
    field: string,
    part: object,
  ): Promise<void> {
    const object = await this.client.get(resource, namespace, name);
    const status = { [field]: part };
    await writeStatus(this.client, {
      ...{ resource, object, manager, status, owned: [field], onConflict: 'retry' },
    });
  }

  /** What the target's agent does at the resume gate. */
  async commit<T extends Handover>(resource: Resource<T>, name: string): Promise<Decision> {
    const request = await this.client.get(resource, namespace, name);
    const by = `agent/${request.status?.target?.nodeName ?? ''}`;
    const proposal = { outcome: 'Committed', by, reason: 'Committed' } as const;
    return proposeDecision(this.client, resource, request, proposal);
  }

  // What can be seen

  /** Names of all MigrationRequests. */
  async migrations(): Promise<string[]> {
    const { items } = await this.client.list(migrationRequests, { namespace });
    return items.map((item) => migrationRequests.parse(item).metadata.name);
  }

  /** Expects that nothing has been written to a pod. */
  async untouched(before: Pod): Promise<void> {
    expect(await this.pod(before.metadata.name, before.metadata.namespace)).toEqual(before);
  }

  async pod(name: string, where = namespace): Promise<Pod | undefined> {
    return this.find(pods, name, where);
  }

  async find<T>(resource: Resource<T>, name: string, where = namespace): Promise<T | undefined> {
    try {
      return await this.client.get(resource, where, name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Waits until a request's status matches. @returns the request */
  async until<T extends ApiObject & { status?: unknown }>(
    resource: Resource<T>,
    name: string,
    status: object,
  ): Promise<T & { status: NonNullable<T['status']> }> {
    await eventually(async () => (await this.find(resource, name))?.status).toMatchObject(status);
    return (await this.client.get(resource, namespace, name)) as T & {
      status: NonNullable<T['status']>;
    };
  }

  /** `type reason` of each event about an object. */
  async events(uid: string): Promise<string[]> {
    const body = (await this.client.rest.request({
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/events`,
      query: { fieldSelector: `involvedObject.uid=${uid}` },
    })) as { items: { type: string; reason: string }[] };
    return body.items.map(({ type, reason }) => `${type} ${reason}`);
  }
}
