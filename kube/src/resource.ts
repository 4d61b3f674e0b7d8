// SPDX-License-Identifier: Apache-2.0
// A kind of object: its path in the API, and how its JSON becomes one of our types.
import {
  CheckpointRequest,
  MigrationPolicy,
  MigrationRequest,
  RestoreRequest,
  API_VERSION,
} from '../../crds/src/index.ts';
import { Namespace, Node, Pod } from './core.ts';

export interface ApiObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
}

export interface Resource<T> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Validates what the server sent and drops fields that no code reads. Throws if it does not match. */
  readonly parse: (json: unknown) => T;
}

const sealift = { apiVersion: API_VERSION, namespaced: true } as const;

export const migrationRequests: Resource<MigrationRequest> = {
  ...sealift,
  kind: 'MigrationRequest',
  plural: 'migrationrequests',
  parse: (json) => MigrationRequest.parse(json),
};

export const checkpointRequests: Resource<CheckpointRequest> = {
  ...sealift,
  kind: 'CheckpointRequest',
  plural: 'checkpointrequests',
  parse: (json) => CheckpointRequest.parse(json),
};

export const restoreRequests: Resource<RestoreRequest> = {
  ...sealift,
  kind: 'RestoreRequest',
  plural: 'restorerequests',
  parse: (json) => RestoreRequest.parse(json),
};

export const migrationPolicies: Resource<MigrationPolicy> = {
  ...sealift,
  kind: 'MigrationPolicy',
  plural: 'migrationpolicies',
  namespaced: false,
  parse: (json) => MigrationPolicy.parse(json),
};

export const pods: Resource<Pod> = {
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  parse: (json) => Pod.parse(json),
};

/** Only their metadata is read. */
export const namespaces: Resource<Namespace> = {
  apiVersion: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
  parse: (json) => Namespace.parse(json),
};

export const nodes: Resource<Node> = {
  apiVersion: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
  parse: (json) => Node.parse(json),
};

/** Multus' networks. They are read as they are. */
export const networkAttachments: Resource<unknown> = {
  apiVersion: 'k8s.cni.cncf.io/v1',
  kind: 'NetworkAttachmentDefinition',
  plural: 'network-attachment-definitions',
  namespaced: true,
  parse: (json) => json,
};

/** @returns the collection's path, e.g. `/apis/sealift.dev/v1alpha1/namespaces/x/migrationrequests`. */
export function collectionPath(resource: Resource<unknown>, namespace?: string): string {
  const root = resource.apiVersion.includes('/') ? '/apis/' : '/api/';
  const scope =
    resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${resource.apiVersion}${scope}/${resource.plural}`;
}

/** The key of an object in queues and caches: `namespace/name`, or `name` without a namespace. */
export function keyOf(object: {
  readonly metadata: { readonly name: string; readonly namespace: string };
}): string {
  const { name, namespace } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: '', name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
