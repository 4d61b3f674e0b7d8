// SPDX-License-Identifier: Apache-2.0
// Reasons: values of `condition.reason`, `decision.reason`, event reasons and the metric label.
// An agent may add reasons of its own (they pass through as they are); these are the operator's.

export const reasons = {
  // Progress
  Pending: 'Not looked at yet.',
  Accepted: 'The request is valid.',
  Queued: 'Too many moves are under way; the request waits for its turn.',
  Waiting: 'An earlier step has not finished.',
  TargetPodCreated: 'The target pod exists and is being prepared.',
  AtCreateGate: 'The target is prepared and waits for the images.',
  Held: 'The source is locked, held and frozen.',
  ImagesWritten: 'The source is dumped and its images are sent.',
  AtResumeGate: 'The target is rebuilt and waits for the decision.',
  Resumed: 'The source runs again.',
  Moved: 'The target runs, the source is gone.',
  CheckpointStored: 'The images are stored; the pod runs on.',
  PodRestored: 'The new pod runs.',
  Committed: 'Decided: the target runs.',

  // Refused: the source is untouched
  PodNotFound: 'There is no such pod.',
  PodNotRunning: 'The pod is not in phase Running, or is being deleted.',
  ContainerNotRunning: 'A container of the pod is waiting, terminated or not ready.',
  ContainerCrashLooping: 'A container of the pod ends again and again.',
  NotSealiftRuntime: 'The pod does not use the RuntimeClass sealift.',
  PodHasController: 'The pod belongs to a controller, which would replace it.',
  UnsupportedVolume: 'The pod has a volume that cannot be moved.',
  UnsupportedPod: 'The pod uses something that Sealift does not move.',
  SourceNodeUnavailable: 'The pod’s node has no working Sealift agent.',
  TargetIsSource: 'The target node is the node that the pod runs on.',
  TargetNodeNotFound: 'There is no such node.',
  TargetNodeNotReady: 'The target node is not Ready, or is cordoned.',
  NoCompatibleNode: 'No other Ready node has a driver with the same ABI.',
  AnotherMigration: 'Another request is at work on this pod.',
  CheckpointNotFound: 'There is no such CheckpointRequest.',
  CheckpointNotReady: 'The checkpoint has not succeeded.',
  CheckpointNodeUnavailable: 'The node that holds the checkpoint has no working Sealift agent.',
  PodNameTaken: 'A pod of that name exists already.',
  AddressInUse: 'An address that the new pod needs belongs to another pod.',
  BadAddress: 'An address in spec.addresses cannot be used.',
  BadAnnotation: 'An annotation of the pod has a value that cannot be used.',
  PeerRetryBudgetTooShort: 'The pod’s peers give up sooner than any move can be done.',

  // Aborted: the source goes on
  Cancelled: 'Asked to stop, by spec.cancel or by deleting the request.',
  PrepareDeadlineExceeded: 'The target was not prepared in time.',
  BlackoutDeadlineExceeded: 'The pod was not moved in time.',
  HoldDeadlineExceeded: 'The source was not held within spec.timeouts.holdSeconds.',
  FreezeDeadlineExceeded: 'The source was not frozen within spec.timeouts.freezeSeconds.',
  DumpDeadlineExceeded: 'The source was not dumped within spec.timeouts.dumpSeconds.',
  TransferDeadlineExceeded: 'The images were not sent within spec.timeouts.transferSeconds.',
  RestoreDeadlineExceeded: 'The target was not rebuilt within spec.timeouts.restoreSeconds.',
  PeerRetryBudgetExceeded: 'The pod’s peers were about to give up.',
  PodCompleted:
    'The source pod’s containers ended with exit code 0: there is nothing left to move.',
  SourceGone: 'The source pod vanished or was replaced.',
  SourceLost: 'The source’s node was reset, or its container ended: what it was is gone.',
  SourceFailed: 'The source’s agent reported a failure.',
  TargetUnschedulable: 'The scheduler found no room for the target pod.',
  TargetRejected: 'The API server did not admit the target pod.',
  TargetFailed: 'The target pod or its agent reported a failure.',
  TargetGone: 'The target pod was deleted by someone else.',

  // After the decision
  RestoringCheckpoint: 'The source was lost: a new pod is made from its newest checkpoint.',
  NoCheckpoint: 'The source was lost, and there is no checkpoint of it.',
  TargetLost: 'The target failed after the decision.',
  TargetRestarted: 'What was moved has ended after its resume, and was started from nothing.',
  NodeLost: 'The node that held the images is gone.',
  RemovingImages: 'The request is deleted; the node’s agent removes the images first.',
  NodeUnavailable: 'The node that has the images has no working Sealift agent.',
  CheckpointFailed: 'The node’s agent could not take the checkpoint.',
} as const satisfies Record<string, string>;

export type Reason = keyof typeof reasons;
