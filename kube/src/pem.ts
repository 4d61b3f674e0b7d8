// SPDX-License-Identifier: Apache-2.0
// RFC 7468. node:crypto writes keys in PEM, but neither certificates nor requests for them.

/** @param label as in `-----BEGIN <label>-----` */
export function encodePem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
