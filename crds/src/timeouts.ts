// SPDX-License-Identifier: Apache-2.0
// How long a request and each of its steps may take. A step's limit is optional. Its default is in this file, but never
// more than the blackout, so that a request with a short blackout need not set every step.
import { z } from 'zod';

/** Seconds. Each is several times what the step takes on the slowest machine that Sealift was measured on. */
export const stepDefaults = {
  /** The driver itself gives up waiting for its queues after 5 s. */
  hold: 20,
  /** Tasks in uninterruptible sleep freeze only when they leave it. The agent gives up after 10 s. */
  freeze: 20,
  dump: 60,
  transfer: 60,
  restore: 60,
} as const;
export type LimitedStep = keyof typeof stepDefaults;

/**
 * Milliseconds of the peers' retry budget that are reserved for the end of a hold: one round trip to the API server
 * (0.2 s measured on an emulated node), then the source's or the target's resume (0.15 s), and as much again for a
 * slow moment.
 */
export const PEER_MARGIN_MS = 800;

const seconds = (least: number, most: number) => z.int().min(least).max(most);
const stepOf = (step: LimitedStep, what: string) =>
  seconds(1, 110)
    .optional()
    .meta({
      format: 'int32',
      description: `${what} Absent: ${stepDefaults[step]}, or blackoutSeconds if that is less.`,
    });

const handover = {
  prepareSeconds: seconds(1, 3600).default(300).meta({
    format: 'int32',
    description: 'From the start until the target is at its create gate.',
  }),
  blackoutSeconds: seconds(1, 110)
    .default(100)
    .meta({
      format: 'int32',
      description:
        'From the create gate to the decision. The kubelet gives up on a container’s start ' +
        'after two minutes, so the limit is lower than that.',
    }),
  transferSeconds: stepOf('transfer', 'Sending the images, until the target has verified them.'),
  restoreSeconds: stepOf(
    'restore',
    'From the verified images until the target is at its resume gate.',
  ),
};

const source = {
  holdSeconds: stepOf('hold', 'Locking the network and holding the RDMA device.'),
  freezeSeconds: stepOf('freeze', 'Freezing the tasks.'),
  dumpSeconds: stepOf('dump', 'Writing the images.'),
  peerMarginMs: z
    .int()
    .min(100)
    .max(10_000)
    .optional()
    .meta({
      format: 'int32',
      description:
        'Only for peers with a retry limit: how many milliseconds of their ' +
        `retry budget are reserved for the decision and the resume. Absent: ${PEER_MARGIN_MS}.`,
    }),
};

type Given = { readonly [field: string]: number | undefined };

/** No step may take longer than the blackout: a rule for the API server, and the same for callers that parse. */
function within<T extends z.ZodRawShape>(shape: T, fields: readonly string[]) {
  const message = (field: string): string =>
    `timeouts.${field} must not exceed timeouts.blackoutSeconds`;
  return z
    .object(shape)
    .superRefine((timeouts, context) => {
      const given = timeouts as Given;
      for (const field of fields) {
        if ((given[field] ?? 0) <= (given['blackoutSeconds'] ?? Infinity)) continue;
        context.addIssue({ code: 'custom', path: [field], message: message(field) });
      }
    })
    .meta({
      description:
        'How long the request and its steps may take. A step that exceeds its limit ends in Aborted.',
      'x-kubernetes-validations': fields.map((field) => ({
        rule: `!has(self.${field}) || self.${field} <= self.blackoutSeconds`,
        message: message(field),
        fieldPath: `.${field}`,
      })),
    });
}

/** A restore has no source to hold, freeze or dump. */
export const RestoreTimeouts = within(handover, ['transferSeconds', 'restoreSeconds']);
export type RestoreTimeouts = z.infer<typeof RestoreTimeouts>;

export const Timeouts = within({ ...handover, ...source }, [
  'holdSeconds',
  'freezeSeconds',
  'dumpSeconds',
  'transferSeconds',
  'restoreSeconds',
]);
export type Timeouts = z.infer<typeof Timeouts>;

const limit = (least: number, most: number, what: string) =>
  seconds(least, most).optional().meta({ format: 'int32', description: what });

/** The longest times that a MigrationPolicy allows. */
export const TimeoutLimits = z
  .object({
    prepareSeconds: limit(1, 3600, 'Until the target is at its create gate.'),
    blackoutSeconds: limit(1, 110, 'From the create gate to the decision.'),
    holdSeconds: limit(1, 110, 'Locking the network and holding the RDMA device.'),
    freezeSeconds: limit(1, 110, 'Freezing the tasks.'),
    dumpSeconds: limit(1, 110, 'Writing the images.'),
    transferSeconds: limit(1, 110, 'Sending the images, until the target has verified them.'),
    restoreSeconds: limit(
      1,
      110,
      'From the verified images until the target is at its resume gate.',
    ),
  })
  .meta({
    description:
      'The longest times that a migration of these pods and its steps may take. A request whose spec.timeouts asks for more ' +
      'gets these.',
    'x-kubernetes-validations': (Object.keys(stepDefaults) as LimitedStep[]).map((step) => ({
      rule: `!has(self.${step}Seconds) || !has(self.blackoutSeconds) || self.${step}Seconds <= self.blackoutSeconds`,
      message: `timeouts.${step}Seconds must not exceed timeouts.blackoutSeconds`,
      fieldPath: `.${step}Seconds`,
    })),
  });
export type TimeoutLimits = z.infer<typeof TimeoutLimits>;

/** What timeouts of a request and those of a policy amount to. Pure. */
export function narrowTimeouts<T extends RestoreTimeouts & { peerMarginMs?: number | undefined }>(
  asked: T,
  limits: TimeoutLimits | undefined,
): T {
  if (!limits) return asked;
  const least = (a: number, b: number | undefined): number => Math.min(a, b ?? Infinity);
  const blackoutSeconds = least(asked.blackoutSeconds, limits.blackoutSeconds);
  const steps = (Object.keys(stepDefaults) as LimitedStep[]).map((step) => {
    const field = `${step}Seconds` as const;
    const own = (asked as Given)[field] ?? stepDefaults[step];
    return [field, Math.min(own, blackoutSeconds, limits[field] ?? Infinity)] as const;
  });
  return {
    ...asked,
    ...Object.fromEntries(steps),
    prepareSeconds: least(asked.prepareSeconds, limits.prepareSeconds),
    blackoutSeconds,
  };
}

/**
 * The timeouts of a request: those of its spec, or what the policy in its status allows. Operator and agents count by
 * these. Pure.
 */
export function timeoutsOf<
  T extends RestoreTimeouts & { peerMarginMs?: number | undefined },
>(request: {
  readonly spec: { readonly timeouts: T };
  /** A RestoreRequest's has no policy. */
  readonly status?: object | undefined;
}): T {
  const { policy } = (request.status ?? {}) as { policy?: { timeouts?: TimeoutLimits } };
  return narrowTimeouts(request.spec.timeouts, policy?.timeouts);
}

/** The limit of a step in seconds. Pure. */
export function secondsOfStep(
  timeouts: Partial<Record<`${LimitedStep}Seconds`, number | undefined>> & {
    readonly blackoutSeconds: number;
  },
  step: LimitedStep,
): number {
  return timeouts[`${step}Seconds`] ?? Math.min(stepDefaults[step], timeouts.blackoutSeconds);
}

/** Reason and message for a step that has exceeded its limit. Pure. */
export function stepExceeded(
  step: LimitedStep,
  limitSeconds: number,
): { readonly code: string; readonly message: string } {
  const name = `${step.charAt(0).toUpperCase()}${step.slice(1)}`;
  return {
    code: `${name}DeadlineExceeded`,
    message:
      `Step ${step} did not end within ${limitSeconds} s. ` +
      `Raise spec.timeouts.${step}Seconds if it needs longer.`,
  };
}
