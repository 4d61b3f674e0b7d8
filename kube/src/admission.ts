// SPDX-License-Identifier: Apache-2.0
// What an admission webhook needs of the API: its configuration, and the budgets that evictions are bound by.
import { z } from 'zod';
import { LabelSelector, ObjectMeta } from '../../crds/src/index.ts';
import type { Resource } from './resource.ts';

/** Each webhook keeps the fields that Sealift does not know: the list can only be written whole. */
const ValidatingWebhookConfiguration = z.object({
  metadata: ObjectMeta,
  webhooks: z
    .array(
      z.looseObject({
        name: z.string(),
        failurePolicy: z.string().nullish(),
        clientConfig: z.looseObject({
          url: z.string().nullish(),
          service: z.looseObject({ path: z.string().nullish() }).nullish(),
          /** PEM, in base64. */
          caBundle: z.string().nullish(),
        }),
        matchConditions: z.array(z.object({ name: z.string(), expression: z.string() })).nullish(),
      }),
    )
    .default([]),
});
export type ValidatingWebhookConfiguration = z.infer<typeof ValidatingWebhookConfiguration>;
export type ValidatingWebhook = ValidatingWebhookConfiguration['webhooks'][number];

export const validatingWebhookConfigurations: Resource<ValidatingWebhookConfiguration> = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  namespaced: false,
  parse: (json) => ValidatingWebhookConfiguration.parse(json),
};

const PodDisruptionBudget = z.object({
  metadata: ObjectMeta,
  /** Without a selector it is for no pod. */
  spec: z.object({ selector: LabelSelector.nullish() }).prefault({}),
  status: z
    .object({
      disruptionsAllowed: z.number().default(0),
      observedGeneration: z.number().default(0),
      /** By name: pods whose eviction the API server has let through, and that the disruption controller has not seen go yet. */
      disruptedPods: z.record(z.string(), z.unknown()).default({}),
    })
    .prefault({}),
});
export type PodDisruptionBudget = z.infer<typeof PodDisruptionBudget>;

export const podDisruptionBudgets: Resource<PodDisruptionBudget> = {
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  plural: 'poddisruptionbudgets',
  namespaced: true,
  parse: (json) => PodDisruptionBudget.parse(json),
};
