// SPDX-License-Identifier: Apache-2.0
// The CustomResourceDefinitions, assembled from the schemas.
import type { z } from 'zod';
import { CheckpointRequestSpec, CheckpointRequestStatus } from './checkpoint-request.ts';
import { committedRule, decisionRule, migrationCommittedRule } from './decision.ts';
import { MigrationPolicySpec } from './migration-policy.ts';
import { MigrationRequestSpec, MigrationRequestStatus } from './migration-request.ts';
import { GROUP, VERSION } from './names.ts';
import { RestoreRequestSpec, RestoreRequestStatus } from './restore-request.ts';
import { toStructural } from './structural.ts';

interface Column {
  readonly name: string;
  readonly jsonPath: string;
  readonly type: 'string' | 'number' | 'integer' | 'boolean' | 'date';
  readonly description?: string;
  /** 1: kubectl shows the column only with `-o wide`. */
  readonly priority?: number;
}

interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly description: string;
  /** Default: Namespaced. */
  readonly scope?: 'Cluster';
  readonly spec: z.ZodType;
  /** Absent: the kind has none. */
  readonly status?: z.ZodType;
  readonly rules: readonly object[];
  readonly columns: readonly Column[];
  readonly selectable: readonly string[];
}

const succeeded = (field: string): string => `.status.conditions[?(@.type=="Succeeded")].${field}`;
const age: Column = { name: 'Age', jsonPath: '.metadata.creationTimestamp', type: 'date' };
const phase: Column = { name: 'Phase', jsonPath: '.status.phase', type: 'string' };
const reason: Column = {
  name: 'Reason',
  jsonPath: succeeded('reason'),
  type: 'string',
  priority: 1,
};
const message: Column = {
  name: 'Message',
  jsonPath: succeeded('message'),
  type: 'string',
};
const pausedMs: Column = {
  name: 'Blackout ms',
  jsonPath: '.status.report.blackoutMs',
  type: 'number',
  description: 'Milliseconds in which the pod did not run.',
};

export const kinds: readonly Kind[] = [
  {
    kind: 'MigrationRequest',
    plural: 'migrationrequests',
    shortName: 'mreq',
    description:
      'Moves a running pod, with its open RDMA and TCP connections, to another node. ' +
      'Deleting the request or setting spec.cancel stops the move until the decision.',
    spec: MigrationRequestSpec,
    status: MigrationRequestStatus,
    rules: [decisionRule, migrationCommittedRule],
    columns: [
      { name: 'Pod', jsonPath: '.spec.podName', type: 'string' },
      { name: 'From', jsonPath: '.status.source.nodeName', type: 'string' },
      { name: 'To', jsonPath: '.status.target.nodeName', type: 'string' },
      phase,
      pausedMs,
      age,
      message,
      reason,
      { name: 'New pod', jsonPath: '.status.target.podName', type: 'string', priority: 1 },
      { name: 'Policy', jsonPath: '.status.policy.name', type: 'string', priority: 1 },
    ],
    selectable: [
      '.spec.podName',
      '.spec.targetNodeName',
      '.status.source.nodeName',
      '.status.target.nodeName',
    ],
  },
  {
    kind: 'CheckpointRequest',
    plural: 'checkpointrequests',
    shortName: 'creq',
    description:
      'Writes the state of a running pod, with its RDMA objects, to its node’s disk; the pod runs on. ' +
      'Deleting the request deletes the images.',
    spec: CheckpointRequestSpec,
    status: CheckpointRequestStatus,
    rules: [],
    columns: [
      { name: 'Pod', jsonPath: '.spec.podName', type: 'string' },
      { name: 'Node', jsonPath: '.status.nodeName', type: 'string' },
      phase,
      {
        name: 'Size',
        jsonPath: '.status.size',
        type: 'integer',
        description: 'Bytes of the images on the node’s disk.',
      },
      age,
      message,
      reason,
      { name: 'Location', jsonPath: '.status.location', type: 'string', priority: 1 },
    ],
    selectable: ['.spec.podName', '.status.nodeName'],
  },
  {
    kind: 'RestoreRequest',
    plural: 'restorerequests',
    shortName: 'rreq',
    description: 'Restores a new running pod from a checkpoint, on the same node or another.',
    spec: RestoreRequestSpec,
    status: RestoreRequestStatus,
    rules: [decisionRule, committedRule],
    columns: [
      { name: 'Checkpoint', jsonPath: '.spec.checkpointName', type: 'string' },
      { name: 'Pod', jsonPath: '.status.target.podName', type: 'string' },
      { name: 'Node', jsonPath: '.status.target.nodeName', type: 'string' },
      phase,
      age,
      message,
      reason,
    ],
    selectable: ['.spec.checkpointName', '.status.source.nodeName', '.status.target.nodeName'],
  },
  {
    kind: 'MigrationPolicy',
    plural: 'migrationpolicies',
    shortName: 'mpol',
    scope: 'Cluster',
    description:
      'Says for a choice of pods how they are moved: limits and deadlines of their MigrationRequests, what their eviction ' +
      'does, and whether they leave a node that is cordoned or tainted.',
    spec: MigrationPolicySpec,
    rules: [],
    columns: [
      { name: 'Priority', jsonPath: '.spec.priority', type: 'integer' },
      { name: 'Eviction', jsonPath: '.spec.eviction.action', type: 'string' },
      { name: 'Unmovable', jsonPath: '.spec.eviction.unmovable', type: 'string' },
      { name: 'Cordoned', jsonPath: '.spec.nodes.cordoned', type: 'boolean' },
      age,
    ],
    selectable: [],
  },
];

/** @returns the CustomResourceDefinition manifest of a kind. */
export function definition(kind: Kind): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${kind.plural}.${GROUP}`,
      labels: { 'app.kubernetes.io/name': 'sealift' },
    },
    spec: {
      group: GROUP,
      scope: kind.scope ?? 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        shortNames: [kind.shortName],
        categories: ['sealift'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          ...(kind.status ? { subresources: { status: {} } } : {}),
          additionalPrinterColumns: kind.columns,
          ...(kind.selectable.length > 0
            ? { selectableFields: kind.selectable.map((jsonPath) => ({ jsonPath })) }
            : {}),
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: kind.description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: 'Version of the API.' },
                kind: { type: 'string', description: 'Kind of the object.' },
                metadata: {
                  type: 'object',
                  properties: { name: { type: 'string', maxLength: 63 } },
                },
                spec: toStructural(kind.spec),
                ...(kind.status ? { status: toStructural(kind.status) } : {}),
              },
              ...(kind.rules.length > 0 ? { 'x-kubernetes-validations': kind.rules } : {}),
            },
          },
        },
      ],
    },
  };
}
