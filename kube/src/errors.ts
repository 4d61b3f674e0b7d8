// SPDX-License-Identifier: Apache-2.0
// Errors of the API server and of reconcilers. `code` is CamelCase: reason and metric label.

/** An answer of the API server outside 2xx. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** The Status object's reason, e.g. `NotFound`, `Conflict`, `Invalid`. */
  readonly code: string;
  readonly status: number;
  /** Seconds of the server's Retry-After, if it sent one. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** Reads a metav1.Status body. A proxy in between may have sent anything else. */
  static from(status: number, body: string, retryAfter?: string): ApiError {
    let code = fallbackCodes.get(status) ?? `Http${status}`;
    let message = body.slice(0, 500) || `HTTP status ${status}`;
    try {
      const parsed = JSON.parse(body) as { kind?: unknown; reason?: unknown; message?: unknown };
      if (parsed.kind === 'Status') {
        if (typeof parsed.reason === 'string' && parsed.reason !== '') code = parsed.reason;
        if (typeof parsed.message === 'string') message = parsed.message;
      }
    } catch {
      // Not JSON: the text itself is the best message.
    }
    const seconds = Number(retryAfter);
    return new ApiError(status, code, message, seconds > 0 ? seconds : undefined);
  }
}

const fallbackCodes = new Map<number, string>([
  [400, 'BadRequest'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [409, 'Conflict'],
  [410, 'Gone'],
  [422, 'Invalid'],
  [429, 'TooManyRequests'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
  [504, 'Timeout'],
]);

/** The client could not reach the API server, or got no answer in time: it does not know whether the request took effect. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly code: string;
  constructor(
    code: 'Unreachable' | 'RequestTimeout' | 'Cancelled',
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.code = code;
  }
}

/** A retry would fail in the same way: the controller drops the key until the object changes. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
  readonly code: string;
  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** No server gets to stop a controller for longer. */
const longestRetryAfterMs = 60_000;

/** How long the server wants to be left alone, by its `Retry-After`; 0 if it did not say so. */
export function retryAfterMs(error: unknown): number {
  const seconds = error instanceof ApiError ? error.retryAfterSeconds : undefined;
  return seconds === undefined ? 0 : Math.min(seconds * 1000, longestRetryAfterMs);
}

const has = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;

export const isNotFound = (error: unknown): boolean => has(error, 404);
export const isGone = (error: unknown): boolean =>
  has(error, 410) || (error instanceof ApiError && error.code === 'Expired');
export const isInvalid = (error: unknown): boolean => has(error, 422);
export const isForbidden = (error: unknown): boolean => has(error, 403);
export const isAlreadyExists = (error: unknown): boolean =>
  has(error, 409) && (error as ApiError).code === 'AlreadyExists';
export const isConflict = (error: unknown): boolean =>
  has(error, 409) && (error as ApiError).code !== 'AlreadyExists';

/** The `code` of any error: for reasons and metric labels. */
export function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error) {
    if (typeof error.code === 'string' && error.code !== '') return error.code;
  }
  return 'InternalError';
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // The message of fetch is only "fetch failed"; its cause has the reason.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
