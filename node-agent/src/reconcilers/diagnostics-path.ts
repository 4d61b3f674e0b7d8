// SPDX-License-Identifier: Apache-2.0
// Adds to a failure's message where its diagnostics are. The reconcilers call it before they record the failure.
import type { Diagnostics } from '../node/diagnostics/diagnostics.ts';
import type { Entry } from '../support/journal/journal.ts';

/** The message, with the node and the directory that has the failure's diagnostics. */
export function withDiagnosticsPath(
  diagnostics: Diagnostics | undefined,
  message: string,
  entry: Entry,
): string {
  return diagnostics?.pointTo(message, entry) ?? message;
}
