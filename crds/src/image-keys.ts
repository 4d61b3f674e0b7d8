// SPDX-License-Identifier: Apache-2.0
// What operator and agents agree on about the keys of stored images (docs/adr/0016).

/** Keys in the Secret `sealift-image-keys` of the chart's namespace, or in the one that the chart's value names. */
export const imageKeys = {
  secret: 'sealift-image-keys',
  /** Of AES-256. */
  bytes: 32,
  /** How long the operator's newest key wraps before the operator adds another one. */
  lifetimeMs: 365 * 24 * 3_600_000,
} as const;

const idPattern = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;

/** A key's name in the Secret: when it was made, in UTC, as `20261129T154800Z`. The newest one wraps; the others still unwrap. Pure. */
export const imageKeyId = (now: number): string =>
  `${new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;

/** When the key of this name was made, in milliseconds since the epoch; undefined for a name that is no key's. Pure. */
export function imageKeyTime(id: string): number | undefined {
  const parts = idPattern.exec(id)?.slice(1);
  if (!parts) return undefined;
  const [year, month, day, hour, minute, second] = parts;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? undefined : time;
}
