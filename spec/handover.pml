/* SPDX-License-Identifier: Apache-2.0
 *
 * The handover of one pod from a source node to a target node.
 *
 * The model has the API object with its one decision, the operator, two agents
 * that may crash, restart and be cut off, two kernels (task, hold, lock), the
 * transfer of the images, the peer's traffic, node resets, and containers that
 * are killed. A step is a guarded transition on the state as it is,
 * never on an agent's memory. A crash therefore costs only time; that is the
 * claim under test. Each transition disables itself, so every run is finite
 * and `timeout` can judge its end.
 *
 * A label such as [source.LockNetwork] names a transition: the actor, then the
 * effect, as the code calls it, or a part of it. docs/protocol.md lists them; a
 * test checks that the labels here and that table are the same.
 *
 * A side that hears nothing from the other continues alone when its time is over
 * (docs/adr/0008). The model allows that only after a fault has struck: until
 * then each side waits for the other.
 *
 * FAULTS is how many faults may strike in one run (default 1).
 * The seeded mistakes, each of which the check must find:
 *   -DTHAW_ON_TIMEOUT         the source thaws when it has waited long enough
 *   -DRESUME_BEFORE_DECISION  the target runs first and records afterwards
 *   -DUNLOCK_AT_CRIU          the source's lock ends with CRIU's own lock
 *   -DSTOP_AT_ONCE            the source stops before the target answers
 *   -DOPEN_AT_ONCE            the target resumes while the source answers
 */
#ifndef FAULTS
#define FAULTS 1
#endif

#define SOURCE   0
#define TARGET   1
#define OPERATOR 2

mtype = { Undecided, Committed, Aborted };                  /* the decision */
mtype = { Running, Frozen, Gone };                          /* source task */
/* ResumeGate: every container of the pod is restored, started and frozen (README.md). */
mtype = { Absent, CreateGate, ResumeGate, Resumed, Killed };/* target task */
mtype = { NoImage, InFlight, Damaged, Verified };           /* the image */

mtype decision = Undecided;
mtype view[3] = Undecided;     /* what each actor read last; may be stale */
bool alive[3] = true;
bool connected[3] = true;      /* to the API server */
bool link = true;              /* between the two agents */
bool gatePublished = false;    /* status.targetAgent.state == AtCreateGate or later */
bool answeringPublished = false, runningPublished = false;  /* targetAgent.state */
bool gonePublished = false;    /* status.sourceAgent.state == Gone */
bool sourceFailed = false, targetFailed = false;

mtype sourceTask = Running;
bool sourceLocked = false, sourceHeld = false, sourceSilenced = false;
bool dumped = false;

mtype targetTask = Absent;
bool targetLocked = true, targetHeld = true;
bool targetAnswers = false;    /* shown, announced, RoCE passes: RNR NAKs while held */
bool targetJournalResuming = false;   /* on disk before peers may hear the target */
mtype image = NoImage;

byte faults = 0;
bool lost = false;             /* a reset destroyed the copy that counted */
bool lateSource = false;       /* the source acknowledged after its dump */
bool earlyTarget = false;      /* the target acknowledged before the decision */

#define sourceRuns (sourceTask == Running)
#define targetRuns (targetTask == Resumed)
#define sourceAnswers (sourceTask != Gone && !sourceSilenced)
#define can(who)   (alive[who] && connected[who])
#define waitedOut  (faults > 0)
#ifdef STOP_AT_ONCE
#define mayStop     true
#else
/* [source.AwaitTargetAnswering] */
#define mayStop     (answeringPublished || runningPublished || waitedOut)
#endif
#ifdef OPEN_AT_ONCE
#define mayResume    true
#else
#define mayResume    (gonePublished || waitedOut)
#endif

/* Compare-and-swap at the API server; the writer reads back the decision that stands. */
inline decide(who, outcome) {
	atomic {
		if
		:: decision == Undecided -> decision = outcome
		:: else
		fi;
		view[who] = decision
	}
}

/* Informers: each actor's cache catches up at some time. */
active proctype Watch() {
	end: do
	:: atomic { can(SOURCE) && view[SOURCE] != decision -> view[SOURCE] = decision }
	:: atomic { can(TARGET) && view[TARGET] != decision -> view[TARGET] = decision }
	:: atomic { can(OPERATOR) && view[OPERATOR] != decision -> view[OPERATOR] = decision }
	od
}

active proctype SourceAgent() {
	end: do
	/* Only while nothing is decided. */
	/* [source.LockNetwork] */
	:: atomic { can(SOURCE) && gatePublished && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceTask == Running && !sourceLocked -> sourceLocked = true }
	/* [source.HoldDevice] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceLocked && !sourceHeld && !dumped -> sourceHeld = true }
	/* [source.FreezeTasks] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceLocked && sourceHeld && sourceTask == Running -> sourceTask = Frozen }
	/* [source.DumpContainers] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceTask == Frozen && !dumped -> dumped = true;
#ifdef UNLOCK_AT_CRIU
	   sourceLocked = false
#endif
	   }
	/* [source.SendImages] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed && link &&
	   dumped && image == NoImage -> image = InFlight }

	/* Each of these may fail by itself; the agent then proposes Aborted. [source.Fail] */
	:: atomic { alive[SOURCE] && !sourceFailed && faults < FAULTS && sourceLocked &&
	   view[SOURCE] == Undecided -> sourceFailed = true; faults++ }
	/* [source.ProposeAbort] */
	:: can(SOURCE) && sourceFailed && view[SOURCE] == Undecided -> decide(SOURCE, Aborted)

#ifdef THAW_ON_TIMEOUT
	:: atomic { alive[SOURCE] && sourceTask == Frozen && view[SOURCE] == Undecided ->
	   sourceTask = Running; sourceLocked = false; sourceHeld = false; sourceFailed = true }
#endif
	/* Aborted: ResumeSource in three steps. [source.UnlockNetwork] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Aborted && sourceLocked -> sourceLocked = false }
	/* [source.ThawTasks] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Aborted && !sourceLocked &&
	   sourceTask == Frozen -> sourceTask = Running }
	/* [source.ResumeDevice] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Aborted && sourceTask == Running &&
	   sourceHeld -> sourceHeld = false }
	/* Committed, once the target answers. The full lock silences ARP, ND and RNR NAKs. [source.StopSource] */
	:: atomic { alive[SOURCE] && view[SOURCE] == Committed && !sourceSilenced &&
	   mayStop -> sourceSilenced = true }
	/* [source.PublishGone] */
	:: atomic { can(SOURCE) && view[SOURCE] == Committed && sourceSilenced && !gonePublished ->
	   gonePublished = true }
	od
}

active proctype TargetAgent() {
	end: do
	/* The pod's sandbox is locked and its device held from the start. [target.WaitAtCreateGate] */
	:: atomic { alive[TARGET] && view[TARGET] == Undecided && targetTask == Absent &&
	   !targetFailed -> targetTask = CreateGate }
	/* [target.PublishAtCreateGate] */
	:: atomic { can(TARGET) && targetTask == CreateGate && !gatePublished -> gatePublished = true }
	/* The agent verifies the images by digest. [target.ReceiveImages] */
	:: atomic { alive[TARGET] && image == InFlight -> image = Verified }
	/* [target.DamageImages] */
	:: atomic { alive[TARGET] && image == InFlight && faults < FAULTS -> image = Damaged; faults++ }
	/* [target.FindDamage] */
	:: atomic { alive[TARGET] && image == Damaged -> targetFailed = true }
	/* Up to the resume gate. A target that is killed there and made again is restored again, after
	 * Committed too: the verified image is still here and nothing has happened since. [target.StartRestore] */
	:: atomic { alive[TARGET] && image == Verified && view[TARGET] != Aborted &&
	   (targetTask == CreateGate || (targetTask == Killed && view[TARGET] == Committed &&
	   !targetJournalResuming && !lost)) -> targetTask = ResumeGate }
	/* [target.Fail] */
	:: atomic { alive[TARGET] && targetTask == CreateGate && faults < FAULTS && !targetFailed &&
	   view[TARGET] == Undecided -> targetFailed = true; faults++ }
	/* [target.ProposeAbort] */
	:: can(TARGET) && (targetFailed || targetTask == Killed) && view[TARGET] == Undecided ->
	   decide(TARGET, Aborted)

	/* One round trip in the blackout. [target.ProposeCommit] */
	:: can(TARGET) && targetTask == ResumeGate && view[TARGET] == Undecided && !targetFailed ->
	   decide(TARGET, Committed)
#ifdef RESUME_BEFORE_DECISION
	:: atomic { alive[TARGET] && targetTask == ResumeGate && view[TARGET] == Undecided ->
	   targetJournalResuming = true; targetLocked = false; targetHeld = false; targetTask = Resumed }
#endif
	/* Committed. Answering can be undone; then come the journal, the network and the device; the tasks are last. */
	/* [target.AnswerPeers] */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetTask == ResumeGate &&
	   !targetAnswers -> targetAnswers = true }
	/* [target.PublishAnswering] */
	:: atomic { can(TARGET) && targetAnswers && !answeringPublished -> answeringPublished = true }
	/* [target.RecordResuming] */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetTask == ResumeGate &&
	   targetAnswers && mayResume && !targetJournalResuming -> targetJournalResuming = true }
	/* [target.UnlockNetwork] */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetJournalResuming &&
	   targetTask == ResumeGate && targetLocked -> targetLocked = false }
	/* [target.ResumeDevice] */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetJournalResuming &&
	   targetTask == ResumeGate && !targetLocked && targetHeld -> targetHeld = false }
	/* [target.ThawTasks] */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetJournalResuming &&
	   targetTask == ResumeGate && !targetLocked && !targetHeld -> targetTask = Resumed }
	/* [target.PublishRunning] */
	:: atomic { can(TARGET) && targetTask == Resumed && !targetHeld && !runningPublished ->
	   runningPublished = true }
	/* Aborted. [target.TearDownTarget] */
	:: atomic { alive[TARGET] && view[TARGET] == Aborted && targetTask != Killed ->
	   targetTask = Killed; targetLocked = true }
	od
}

active proctype Operator() {
	bool mayCancel = true;
	end: do
	/* A deadline, a cancel or a deletion, at any moment before the decision. [operator.Cancel] */
	:: can(OPERATOR) && mayCancel && view[OPERATOR] == Undecided ->
	   mayCancel = false; decide(OPERATOR, Aborted)
	/* A deadline always strikes in the end when no other actor can decide. [operator.ProposeAbort] */
	:: can(OPERATOR) && view[OPERATOR] == Undecided && (sourceTask == Gone || targetFailed ||
	   targetTask == Killed) -> decide(OPERATOR, Aborted)
	/* In whatever state both agents are, the operator deletes one of the pods in the end. */
	/* [operator.DeleteSource] */
	:: atomic { can(OPERATOR) && view[OPERATOR] == Committed && sourceTask != Gone &&
	   (gonePublished || runningPublished || waitedOut) -> sourceTask = Gone }
	/* [operator.DeleteTarget] */
	:: atomic { can(OPERATOR) && view[OPERATOR] == Aborted && targetTask != Killed ->
	   targetTask = Killed; targetLocked = true }
	od
}

/* A peer's packets reach each copy that can receive them. */
active proctype Peer() {
	end: do
	:: atomic { dumped && sourceTask == Frozen && !lateSource &&
	   (!sourceLocked || !sourceHeld) && !sourceSilenced && decision != Aborted -> lateSource = true }
	:: atomic { targetTask == ResumeGate && decision != Committed && !earlyTarget &&
	   (!targetLocked || !targetHeld) -> earlyTarget = true }
	od
}

/* Crashes end in restarts and partitions heal; a reset is for good. */
active proctype Faults() {
	byte who;
	do
	:: faults < FAULTS -> faults++; select(who : 0 .. 2); alive[who] = false; alive[who] = true
	:: faults < FAULTS -> faults++; select(who : 0 .. 2); connected[who] = false; connected[who] = true
	:: faults < FAULTS -> faults++; link = false; link = true
	:: atomic { faults < FAULTS && targetTask != Absent && targetTask != Resumed -> faults++;
	   if :: targetJournalResuming -> lost = true :: else fi;
	   targetTask = Killed; targetLocked = true; targetAnswers = false }
	:: atomic { faults < FAULTS && sourceTask != Gone -> faults++;
	   if :: decision != Committed -> lost = true :: else fi;
	   sourceTask = Gone; sourceLocked = false; sourceHeld = false }
	:: atomic { faults < FAULTS && targetTask == Resumed -> faults++; lost = true;
	   targetTask = Killed }
	:: break
	od
}

active proctype Monitor() {
	mtype recorded = Undecided;
	end: do
	/* A recorded decision is never reversed. */
	:: atomic { recorded == Undecided && decision != Undecided -> recorded = decision }
	:: atomic { recorded != Undecided && decision != recorded -> assert(false) }
	:: atomic { sourceRuns && targetRuns -> assert(false) }
	/* Whatever was acknowledged must be in the copy that runs on. */
	:: atomic { lateSource && targetRuns -> assert(false) }
	:: atomic { earlyTarget && decision == Aborted -> assert(false) }
	:: atomic { targetRuns && decision != Committed -> assert(false) }
	/* Without a fault: source or target always answers, and the source is silent before the target resumes. */
	:: atomic { faults == 0 && decision == Committed && !sourceAnswers && !targetAnswers -> assert(false) }
	:: atomic { faults == 0 && sourceAnswers && decision == Committed && !targetLocked -> assert(false) }
	/* The end of a run: exactly one copy runs, and nothing holds its peers back. */
	:: timeout ->
		assert(decision != Undecided);
		assert(lost || sourceRuns || targetRuns);
		assert(!(sourceRuns && targetRuns));
		assert(!sourceRuns || (!sourceLocked && !sourceHeld && !sourceSilenced));
		assert(!targetRuns || (!targetLocked && !targetHeld));
		assert(!targetRuns || sourceTask == Gone);
		break
	od
}
