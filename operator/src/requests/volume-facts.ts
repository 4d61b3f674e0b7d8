// SPDX-License-Identifier: Apache-2.0
// Reads what target-pod/volume-rules.ts decides from besides the pod: its claims, and the volumes that they are bound to.
import { z } from 'zod';
import type { Pod, Resource } from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';
import { noVolumeFacts, type Claim, type VolumeFacts } from '../target-pod/volume-rules.ts';

const ClaimObject = z.object({
  metadata: z.object({ deletionTimestamp: z.string().optional() }),
  spec: z.object({
    accessModes: z.array(z.string()).default([]),
    volumeMode: z.string().default('Filesystem'),
    volumeName: z.string().default(''),
  }),
});
const VolumeObject = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.looseObject({ hostPath: z.object({ path: z.string() }).optional() }),
});

const claims: Resource<z.infer<typeof ClaimObject>> = {
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  namespaced: true,
  parse: (json) => ClaimObject.parse(json),
};
const volumes: Resource<z.infer<typeof VolumeObject>> = {
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  namespaced: false,
  parse: (json) => VolumeObject.parse(json),
};

/** Fields of a PersistentVolume's spec that are no source of it. */
const notSources = new Set([
  ...['accessModes', 'capacity', 'claimRef', 'mountOptions', 'nodeAffinity'],
  ...['persistentVolumeReclaimPolicy', 'storageClassName', 'volumeAttributesClassName'],
  'volumeMode',
]);

/** As the API server has it now. Nothing is read for a pod without claims. */
export async function readVolumeFacts(
  dependencies: Dependencies,
  pod: Pod | undefined,
  signal: AbortSignal,
): Promise<VolumeFacts> {
  const { sharedHostPaths } = dependencies;
  if (!pod) return { ...noVolumeFacts, sharedHostPaths };
  const found = new Map<string, Claim>();
  for (const volume of pod.spec.volumes) {
    const source = volume['persistentVolumeClaim'] as { claimName?: unknown } | null | undefined;
    if (typeof source?.claimName !== 'string' || found.has(source.claimName)) continue;
    const claim = await readClaim(dependencies, pod.metadata.namespace, source.claimName, signal);
    if (claim) found.set(source.claimName, claim);
  }
  return { claims: found, sharedHostPaths };
}

async function readClaim(
  dependencies: Dependencies,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<Claim | undefined> {
  const claim = await dependencies.find(claims, namespace, name, signal);
  if (!claim) return undefined;
  const { accessModes, volumeMode, volumeName } = claim.spec;
  const isDeleted = claim.metadata.deletionTimestamp !== undefined;
  const bound =
    volumeName === '' ? undefined : await dependencies.find(volumes, '', volumeName, signal);
  if (!bound) return { accessModes, volumeMode };
  const path = bound.spec.hostPath?.path;
  const kind = Object.keys(bound.spec).find((key) => !notSources.has(key)) ?? '';
  const volume = { name: bound.metadata.name, kind, ...(path !== undefined && { path }) };
  return { accessModes, volumeMode, isDeleted, volume };
}
