// SPDX-License-Identifier: Apache-2.0
// Reads from the API server what `doctor` examines. A part that may not be read is named, and the rest is examined.
import { agentCertificate, GROUP, labels, RUNTIME_CLASS } from '../../../crds/src/index.ts';
import {
  certificateSigningRequests,
  isForbidden,
  leases,
  nodes,
  unlessNotFound,
  type Client,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Facts } from './checks.ts';

const raw = (apiVersion: string, kind: string, plural: string): Resource<unknown> => ({
  ...{ apiVersion, kind, plural, namespaced: false },
  parse: (json) => json,
});
const runtimeClasses = raw('node.k8s.io/v1', 'RuntimeClass', 'runtimeclasses');
const customDefinitions = raw(
  'apiextensions.k8s.io/v1',
  'CustomResourceDefinition',
  'customresourcedefinitions',
);
const MULTUS = 'network-attachment-definitions.k8s.cni.cncf.io';

/** The agents' Leases are in the namespace of the chart, whichever that is. */
export async function readFacts(api: Client, now: number, signal: AbortSignal): Promise<Facts> {
  const unread: string[] = [];
  const orElse = async <T>(what: string, work: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (!isForbidden(error)) throw error;
      unread.push(
        `You may not read ${what}: that is not examined. Ask for the right to list them.`,
      );
      return otherwise;
    }
  };
  const listed = async (
    resource: Resource<unknown>,
    labelSelector?: string,
  ): Promise<unknown[]> => {
    const { items } = await api.list(resource, { labelSelector, signal });
    return [...items];
  };
  const handler = unlessNotFound(api.getRaw(runtimeClasses, '', RUNTIME_CLASS, { signal })).then(
    (found) => (found as { handler?: string } | undefined)?.handler,
  );
  const definitions = (
    await orElse('CustomResourceDefinitions', listed(customDefinitions), [])
  ).map(nameOf);
  const found = await orElse('CertificateSigningRequests', listed(certificateSigningRequests), []);
  return {
    now,
    unread,
    nodes: (await orElse('nodes', listed(nodes), [])).map((one) => nodes.parse(one)),
    handler: await orElse('RuntimeClasses', handler, 'unknown'),
    definitions: definitions.filter((name) => name.endsWith(`.${GROUP}`)),
    hasMultus: definitions.includes(MULTUS),
    leases: (await orElse('Leases', listed(leases, labels.agent), [])).map((one) => ({
      lease: leases.parse(one),
      storedAt: storedAt(one),
    })),
    certificates: found
      .map((one) => certificateSigningRequests.parse(one))
      .filter(({ spec }) => spec.signerName === agentCertificate.signerName),
  };
}

const nameOf = (object: unknown): string =>
  (object as { metadata?: { name?: string } }).metadata?.name ?? '';

/** The API server writes down by its own clock when it stored a manager's change (metav1.ManagedFieldsEntry). */
function storedAt(object: unknown): number | undefined {
  const { metadata } = object as {
    metadata?: { managedFields?: readonly { readonly time?: string }[] };
  };
  const times = (metadata?.managedFields ?? []).map(({ time }) => Date.parse(time ?? ''));
  const known = times.filter(Number.isFinite);
  return known.length > 0 ? Math.max(...known) : undefined;
}
