// SPDX-License-Identifier: Apache-2.0
// Reasons: values of `condition.reason`, `decision.reason`, event reasons and the metric label. These are the operator's.
// Agents have more, which the operator passes on.

export const reasons = {
  // Progress
  Pending: 'The operator has not looked at the request yet.',
  Accepted: 'The request is valid.',
  Queued: 'Too many moves are under way; the request waits for its turn.',
  Waiting: 'An earlier step has not finished.',
  Inspecting: 'Dry run: the agent of the pod’s node looks at the pod.',
  Movable: 'Dry run: nothing was found that would make a move fail.',
  TargetPodCreated: 'The target pod exists and is being prepared.',
  AtCreateGate: 'The target is prepared and waits for the images.',
  Held: 'The source is locked, held and frozen.',
  ImagesWritten:
    'The images are complete: a target has verified those of a move, the node stores those of a checkpoint.',
  AtResumeGate: 'The target is restored and waits for the decision.',
  Resumed: 'The source runs again.',
  Moved: 'The target runs, the source is gone.',
  CheckpointStored: 'The images are stored; the pod runs on.',
  PodRestored: 'The new pod runs.',
  Committed: 'Decided: the target runs.',
  NoNodeForName:
    'The pod runs as a landing pod, and waits for a node to or by way of which it gets its own name back.',

  // Refused: the source is untouched
  NotMovable: 'Dry run: a move would fail; status.inspection.findings says why.',
  NotInspected: 'Dry run: the agent of the pod’s node has not looked at the pod in time.',
  PodNotFound: 'There is no such pod.',
  PodNotRunning: 'The pod is not in phase Running, or is being deleted.',
  PodResizing: 'The resources of the pod’s containers are being changed.',
  ContainerNotRunning: 'A container of the pod is waiting, terminated or not ready.',
  ContainerCrashLooping: 'A container of the pod crashes repeatedly.',
  NotSealiftRuntime: 'The pod does not use the RuntimeClass sealift.',
  ExecSessionOpen:
    'A program that kubectl exec or an exec probe has started runs in a container and would be lost.',
  PodHasController: 'The pod belongs to a controller with which it cannot be moved.',
  UnsupportedVolume: 'The pod has a volume that cannot be moved.',
  UnsupportedPod: 'The pod uses something that Sealift does not move.',
  SourceNodeUnavailable: 'The pod’s node has no working Sealift agent.',
  TargetIsSource: 'The target node is the node that the pod runs on.',
  TargetNodeNotFound: 'There is no such node.',
  TargetNodeNotReady: 'The target node is not Ready, or is cordoned.',
  NoCompatibleNode: 'No other Ready node has a driver with the same ABI.',
  NotEnoughMemory: 'No node has the memory that the pod takes.',
  NoLandingNode:
    'The pod has to move by way of a further node, and no node that it could leave again can take it.',
  AnotherMigration: 'Another request works on this pod.',
  CheckpointNotFound: 'There is no such CheckpointRequest.',
  CheckpointNotReady: 'The checkpoint has not succeeded.',
  CheckpointNodeUnavailable: 'The node that stores the checkpoint has no working Sealift agent.',
  PodNameTaken: 'A pod of that name exists already.',
  AddressInUse: 'An address that the new pod needs belongs to another pod.',
  BadAddress: 'An address in spec.addresses cannot be used.',
  BadAnnotation: 'An annotation of the pod has a value that cannot be used.',
  PeerRetryBudgetTooShort: 'The pod’s peers stop retrying sooner than any move can end.',

  // Aborted: the source resumes
  Cancelled: 'The user set spec.cancel or deleted the request.',
  PrepareDeadlineExceeded: 'The target was not prepared in time.',
  BlackoutDeadlineExceeded: 'The pod was not moved in time.',
  HoldDeadlineExceeded: 'The source was not held within spec.timeouts.holdSeconds.',
  FreezeDeadlineExceeded: 'The source was not frozen within spec.timeouts.freezeSeconds.',
  DumpDeadlineExceeded: 'The source was not dumped within spec.timeouts.dumpSeconds.',
  TransferDeadlineExceeded: 'The images were not sent within spec.timeouts.transferSeconds.',
  RestoreDeadlineExceeded: 'The target was not restored within spec.timeouts.restoreSeconds.',
  PeerRetryBudgetExceeded: 'The pod’s peers were about to stop retrying.',
  PodCompleted:
    'The source pod’s containers have ended with exit code 0: there is nothing left to move.',
  SourceGone: 'The source pod was deleted or replaced.',
  ControllerChanged: 'The source pod no longer belongs to the controller that it had.',
  NameNotReserved:
    'The API server does not keep the pod’s name free for it: its controller could make a second pod.',
  SourceLost: 'The source’s node was reset or a container ended: its memory is gone.',
  SourceFailed: 'The source’s agent reported a failure.',
  TargetUnschedulable: 'The scheduler found no room for the target pod.',
  TargetRejected: 'The API server did not admit the target pod.',
  TargetDiffers:
    'A webhook or policy has made the target another pod than the source is: it could not be restored.',
  TargetFailed: 'The target pod or its agent reported a failure.',
  TargetGone: 'A client other than the operator deleted the target pod.',

  // After the decision
  RestoringCheckpoint:
    'The source was lost; the operator restores a new pod from its newest checkpoint.',
  NoCheckpoint: 'The source was lost, and it has no checkpoint.',
  TargetLost: 'The target failed after Committed.',
  ControllerDeleted:
    'The pod’s controller was deleted after the decision, and the moved pod with it.',
  TargetRestarted:
    'A container of the target ended after its resume, and the kubelet started it from nothing.',
  RemovingImages: 'The request is deleted; the node’s agent removes the images first.',
  ImagesNotRemoved:
    'The request is deleted; the node’s agent cannot remove the images, and says why.',
  NodeUnavailable: 'The node that stores the images has no working Sealift agent.',
  CheckpointFailed: 'The node’s agent could not take the checkpoint.',
} as const satisfies Record<string, string>;

export type Reason = keyof typeof reasons;
