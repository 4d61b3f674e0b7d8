// SPDX-License-Identifier: Apache-2.0
// CertificateSigningRequests, and the Secret and ConfigMap of the authority that signs them.
import { z } from 'zod';
import { ObjectMeta } from '../../crds/src/index.ts';
import type { Resource } from './resource.ts';

const Condition = z.looseObject({ type: z.string(), message: z.string().nullish() });

const CertificateSigningRequest = z.object({
  metadata: ObjectMeta,
  spec: z.object({
    /** PEM, in base64. */
    request: z.string(),
    signerName: z.string(),
    /** The API server has filled in these three: who has made the request. */
    username: z.string().default(''),
    extra: z.record(z.string(), z.array(z.string())).default({}),
    usages: z.array(z.string()).default([]),
    expirationSeconds: z.number().nullish(),
  }),
  status: z
    .object({
      /** PEM, in base64. */
      certificate: z.string().nullish(),
      conditions: z.array(Condition).default([]),
    })
    .prefault({}),
});
export type CertificateSigningRequest = z.infer<typeof CertificateSigningRequest>;

export const certificateSigningRequests: Resource<CertificateSigningRequest> = {
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  namespaced: false,
  parse: (json) => CertificateSigningRequest.parse(json),
};

const KeyValues = z.object({
  metadata: ObjectMeta,
  data: z
    .record(z.string(), z.string())
    .nullish()
    .transform((value) => value ?? {}),
});
export type KeyValues = z.infer<typeof KeyValues>;

const keyValues = {
  apiVersion: 'v1',
  namespaced: true,
  parse: (json: unknown) => KeyValues.parse(json),
};

/** The values are in base64. */
export const secrets: Resource<KeyValues> = { ...keyValues, kind: 'Secret', plural: 'secrets' };

export const configMaps: Resource<KeyValues> = {
  ...keyValues,
  kind: 'ConfigMap',
  plural: 'configmaps',
};
