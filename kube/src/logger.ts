// SPDX-License-Identifier: Apache-2.0
// Logs: JSON lines on stdout. The message is constant; what varies is a field.
import { pino, stdSerializers, type Logger } from 'pino';

export type { Logger };

/** @param level pino's; default $LOG_LEVEL, else `info`. */
export function makeLogger(name: string, level = process.env['LOG_LEVEL'] ?? 'info'): Logger {
  return pino({
    name,
    level,
    base: { name },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: stdSerializers.err },
  });
}

/** For tests. */
export const silent: Logger = pino({ level: 'silent' });
