// SPDX-License-Identifier: Apache-2.0
// The agent's one error class. Its code is the condition's reason, the `code` of a failed socket reply and the metric's
// label.

/** Why the agent could not do something. The code that raises a reason documents it. */
export type AgentCode =
  | 'Aborted'
  | 'AddressInUse'
  | 'AddressesDiffer'
  | 'AddressesLeft'
  | 'AgentRestarted'
  | 'AnotherMigration'
  | 'BadAnnotation'
  | 'BadBundle'
  | 'BadRequest'
  | 'BandwidthTooLow'
  | 'Cancelled'
  | 'CertificateMissing'
  | 'CheckpointFailed'
  | 'CheckpointNotFound'
  | 'CheckpointUnderWay'
  | 'ContainerNotRunning'
  | 'ContainersLeft'
  | 'CpuIncompatible'
  | 'DeviceNameTaken'
  | 'DiskFull'
  | 'DriverMissing'
  | 'DriverOutdated'
  | 'ExecSessionOpen'
  | 'FaultInjected'
  | 'HandlerLeft'
  | 'HandlerMissing'
  | 'HandlerTaken'
  | 'HoldFailed'
  | 'ImageCorrupt'
  | 'ImageKeyMissing'
  | 'ImageKeyWrong'
  | 'ImageTruncated'
  | 'ImageVersion'
  | 'Internal'
  | 'LockFailed'
  | 'MovedAway'
  | 'MultusMissing'
  | 'NetnsModeShared'
  | 'NodeReadOnly'
  | 'NodeUnreachable'
  | 'NodesLeft'
  | 'PeerRetryBudgetTooShort'
  | 'PodCompleted'
  | 'PodNetworkUnsupported'
  | 'PodNotFound'
  | 'ProtocolError'
  | 'RequestsLeft'
  | 'RestoreFailed'
  | 'RuntimeFailed'
  | 'RuntimeUnsupported'
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

/** `message` is for people: what happened, to what, and what to do. */
export class AgentError extends Error {
  readonly code: AgentCode;
  constructor(code: AgentCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.code = code;
  }
}

/** What the creates and gates of an aborted target are answered. */
export const abortedError = (): AgentError =>
  new AgentError(
    'Aborted',
    'The request was aborted. The target pod must not run; its request says why.',
  );

/** The fields of a status or a journal entry that name a failure; none without a failure. */
export function failureFields(failure: Failure | undefined): { reason?: string; message?: string } {
  return failure ? { reason: failure.code, message: failure.message } : {};
}

/** The code and message of anything that was thrown. An error without a code of ours is `Internal`. */
export function reasonOf(error: unknown): Failure {
  if (error instanceof AgentError) return { code: error.code, message: error.message };
  if (isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT')) {
    return {
      code: 'DiskFull',
      message: `The node has no disk space left: ${error.message}. Free space below /var/lib/sealift on the node.`,
    };
  }
  if (isErrno(error, 'EROFS')) {
    return {
      code: 'NodeReadOnly',
      message: `The node's disk takes no writes: ${error.message}. Check its file system, and mount it for writing.`,
    };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const code = /^[A-Z][a-z][A-Za-z]+$/.test(error.code) ? error.code : 'Internal';
    return { code, message: error.message };
  }
  return { code: 'Internal', message: error instanceof Error ? error.message : String(error) };
}

/** Worth another attempt until the deadline: the other agent, the link or the Secret may come back. */
const transient: ReadonlySet<string> = new Set<AgentCode>([
  'CertificateMissing',
  'TransferFailed',
  'UnexpectedImages',
]);

/** Whether a transfer that failed with this code may succeed at the next attempt. */
export function isTransient(code: string): boolean {
  return transient.has(code);
}

/** Undefined where the work failed with one of these codes: what it was to be done to is not there. */
export async function unlessErrno<T>(
  work: Promise<T>,
  ...codes: readonly string[]
): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codes.some((code) => isErrno(error, code))) return undefined;
    throw error;
  }
}

export function isErrno(error: unknown, code: string): error is NodeJS.ErrnoException {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
