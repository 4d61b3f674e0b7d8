// SPDX-License-Identifier: Apache-2.0
// The agent's one error class. Its code is at once the condition's reason, the `code` of a failed socket
// reply and the metric's label.

/** Why the agent could not do something. Each is documented where it is raised. */
export type AgentCode =
  | 'Aborted'
  | 'AgentRestarted'
  | 'AnotherMigration'
  | 'BadAnnotation'
  | 'BadBundle'
  | 'BadRequest'
  | 'Cancelled'
  | 'CertificateMissing'
  | 'CheckpointFailed'
  | 'CheckpointNotFound'
  | 'ContainerNotRunning'
  | 'DeviceNameTaken'
  | 'DiskFull'
  | 'DriverMissing'
  | 'FaultInjected'
  | 'HoldFailed'
  | 'ImageCorrupt'
  | 'ImageTruncated'
  | 'ImageVersion'
  | 'Internal'
  | 'LockFailed'
  | 'MovedAway'
  | 'NetnsModeShared'
  | 'PeerRetryBudgetTooShort'
  | 'PodNotFound'
  | 'ProtocolError'
  | 'RestoreFailed'
  | 'RuntimeFailed'
  | 'SourceLost'
  | 'TransferFailed'
  | 'UnexpectedImages'
  | 'UnsupportedObject'
  | 'UnsupportedRootfs';

/** A failure as the journal, the status and a decision name it. */
export interface Failure {
  /** CamelCase: the condition's reason. */
  code: string;
  /** For people: what happened, to what, and what to do. */
  message: string;
}

/** `message` is for people: what happened and what to do about it. */
export class AgentError extends Error {
  readonly code: AgentCode;
  constructor(code: AgentCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.code = code;
  }
}

/** The code and message of anything thrown. */
export function reasonOf(error: unknown): Failure {
  if (error instanceof AgentError) return { code: error.code, message: error.message };
  if (isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT')) {
    return { code: 'DiskFull', message: `no space left on the node: ${error.message}` };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const code = /^[A-Z][a-z][A-Za-z]+$/.test(error.code) ? error.code : 'Internal';
    return { code, message: error.message };
  }
  return { code: 'Internal', message: error instanceof Error ? error.message : String(error) };
}

/** Worth another attempt until the deadline: the other agent, the link or the Secret may come back. */
const passing: ReadonlySet<string> = new Set<AgentCode>([
  'CertificateMissing',
  'TransferFailed',
  'UnexpectedImages',
]);

/** Whether a transfer that failed like this may succeed a little later. */
export function isPassing(code: string): boolean {
  return passing.has(code);
}

export function isErrno(error: unknown, code: string): error is NodeJS.ErrnoException {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
