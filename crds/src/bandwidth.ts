// SPDX-License-Identifier: Apache-2.0
// The bandwidth that a MigrationPolicy allows a move: the schema, and how long sending takes by it. Pure.
import { z } from 'zod';

/** Factors of a Kubernetes quantity that anybody uses for bytes. */
const factors: Readonly<Record<string, number>> = {
  ...{ '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};
const form = /^(\d{1,12}(?:\.\d{1,3})?)(Ki|Mi|Gi|Ti|k|M|G|T)?$/;
const LEAST = '64Ki';
const tooLittle = `limits.bandwidthPerMigration must be at least ${LEAST}`;

/** @returns bytes per second; NaN for what is no quantity */
function valueOf(text: string): number {
  const [, number = 'NaN', unit = ''] = form.exec(text) ?? [];
  return Math.floor(Number(number) * (factors[unit] ?? NaN));
}

export const Bandwidth = z
  .string()
  .max(20)
  .regex(form)
  .refine((text) => valueOf(text) >= valueOf(LEAST), { message: tooLittle })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: `quantity(self).compareTo(quantity('${LEAST}')) >= 0`,
        message: tooLittle,
      },
    ],
  });

interface Limits {
  readonly name?: string | undefined;
  readonly limits?: { readonly bandwidthPerMigration?: string | undefined } | undefined;
}

/** What a policy allows, for computing and for people. */
export interface BandwidthLimit {
  readonly bytesPerSecond: number;
  /** `64Mi/s, as MigrationPolicy trainers allows`. */
  readonly text: string;
}

/** @returns undefined: no limit */
export function bandwidthOf(policy: Limits | undefined): BandwidthLimit | undefined {
  const text = policy?.limits?.bandwidthPerMigration;
  if (text === undefined) return undefined;
  const named = `${text}/s, as MigrationPolicy ${policy?.name ?? ''} allows`;
  return { bytesPerSecond: valueOf(text), text: named };
}

/** How long bytes take at least, in milliseconds. */
export const sendingMs = (bytes: number, { bytesPerSecond }: BandwidthLimit): number =>
  Math.floor((bytes * 1000) / bytesPerSecond);
