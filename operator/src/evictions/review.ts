// SPDX-License-Identifier: Apache-2.0
// AdmissionReviews (admission.k8s.io/v1) of the subresource pods/eviction: read, and answered. Pure.
import { z } from 'zod';
import type { Eviction, EvictionAnswer } from './decide.ts';

const AdmissionReview = z.object({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.object({
    uid: z.string().min(1),
    name: z.string().default(''),
    namespace: z.string().min(1),
    subResource: z.string().default(''),
    dryRun: z.boolean().nullish(),
    object: z
      .object({
        metadata: z.object({ name: z.string().default('') }).prefault({}),
        deleteOptions: z
          .object({
            dryRun: z.array(z.string()).nullish(),
            preconditions: z.object({ uid: z.string().nullish() }).nullish(),
          })
          .nullish(),
      })
      .nullish(),
  }),
});

export interface Review {
  readonly uid: string;
  readonly eviction: Eviction;
}

/** @throws Error if it is no review of an eviction */
export function readReview(json: unknown): Review {
  const { request } = AdmissionReview.parse(json);
  const { deleteOptions, metadata } = request.object ?? {};
  const podName = request.name || (metadata?.name ?? '');
  if (request.subResource !== 'eviction' || podName === '') throw new Error('not an eviction');
  return {
    uid: request.uid,
    eviction: {
      namespace: request.namespace,
      podName,
      podUid: deleteOptions?.preconditions?.uid ?? undefined,
      isDryRun: request.dryRun === true || (deleteOptions?.dryRun ?? []).length > 0,
    },
  };
}

/** Warnings of a response are cut by the API server; a status' message is not. */
const maxWarning = 240;

/**
 * 429 is what a PodDisruptionBudget answers: kubectl drain and autoscalers go on asking. Like that one it names no time to
 * wait, because client-go would then repeat the request by itself, and tell its user nothing.
 */
export function answerReview(uid: string, answer: EvictionAnswer): object {
  const response =
    answer.verdict === 'Allow'
      ? {
          uid,
          allowed: true,
          ...(answer.warning !== undefined && { warnings: [shortened(answer.warning)] }),
        }
      : { uid, allowed: false, status: refusal(answer) };
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response };
}

function refusal(answer: Exclude<EvictionAnswer, { verdict: 'Allow' }>): object {
  const isBudget = 'isBudget' in answer && answer.isBudget === true;
  const causes = [{ reason: 'DisruptionBudget', message: answer.message }];
  return {
    code: 429,
    reason: 'TooManyRequests',
    message: answer.message,
    ...(isBudget && { details: { causes } }),
  };
}

const shortened = (text: string): string =>
  text.length > maxWarning ? `${text.slice(0, maxWarning - 3)}...` : text;
