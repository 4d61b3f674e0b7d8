/* SPDX-License-Identifier: Apache-2.0
 *
 * The handover of one pod from a source node to a target node.
 *
 * What is modelled: the API object with its one decision, the operator, two
 * agents that may crash, restart and be cut off, two kernels (task, hold,
 * lock), the transfer of the images, the peer's traffic, node resets and the
 * kubelet's impatience. A step is a guarded transition on the world as it is,
 * never on an agent's memory: a crash therefore loses nothing but time, which
 * is the claim under test. Each transition disables itself, so every run is
 * finite and the end of a run can be judged by `timeout`.
 *
 * Steps carry the names that the code uses: Lock, Hold, Freeze, Dump, Transfer,
 * Restore, Decide, Answer, Open, TakeBack, Unlock, Announce, Resume, Thaw,
 * Release, TearDown.
 *
 * A side that hears nothing of the other goes on alone when its time is over
 * (docs/adr/0008). That is not a fault's doing only where a fault has struck:
 * until then one waits for the other.
 *
 * FAULTS is how many faults may strike in one run (default 1).
 * The seeded mistakes, each of which must be found:
 *   -DTHAW_ON_TIMEOUT         the source thaws when it has waited long enough
 *   -DRESUME_BEFORE_DECISION  the target runs first and records afterwards
 *   -DUNLOCK_AT_CRIU          the source's lock ends with CRIU's own lock
 *   -DEND_AT_ONCE             the source ends before the target answers
 *   -DOPEN_AT_ONCE            the target goes on while the source answers
 */
#ifndef FAULTS
#define FAULTS 1
#endif

#define SOURCE   0
#define TARGET   1
#define OPERATOR 2

mtype = { Undecided, Committed, Aborted };                  /* the decision */
mtype = { Running, Frozen, Gone };                          /* source task */
/* Of a pod with several containers ResumeGate is every one of them at its gate: README.md. */
mtype = { Absent, CreateGate, ResumeGate, Resumed, Killed };/* target task */
mtype = { NoImage, InFlight, Damaged, Verified };           /* the image */

mtype decision = Undecided;
mtype view[3] = Undecided;     /* what each actor last read: may be stale */
bool alive[3] = true;
bool connected[3] = true;      /* to the API server */
bool link = true;              /* between the two agents */
bool gatePublished = false;    /* status.targetAgent.state == AtCreateGate */
bool answeringPublished = false, runningPublished = false;  /* targetAgent.state */
bool gonePublished = false;    /* status.sourceAgent.state == Gone */
bool sourceFailed = false, targetFailed = false;

mtype sourceTask = Running;
bool sourceLocked = false, sourceHeld = false, sourceSilenced = false;
bool dumped = false;

mtype targetTask = Absent;
bool targetLocked = true, targetHeld = true;
bool targetAnswers = false;    /* shown, announced, RDMA passes: RNR NAKs while held */
bool targetJournalResuming = false;   /* fsync'd before Open */
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
#ifdef END_AT_ONCE
#define mayEnd     true
#else
#define mayEnd     (answeringPublished || runningPublished || waitedOut)
#endif
#ifdef OPEN_AT_ONCE
#define mayOpen    true
#else
#define mayOpen    (gonePublished || waitedOut)
#endif

/* Decide: compare-and-swap at the API server; the writer learns what stands. */
inline decide(who, outcome) {
	atomic {
		if
		:: decision == Undecided -> decision = outcome
		:: else
		fi;
		view[who] = decision
	}
}

/* Informers: each actor's cache catches up some time or other. */
active proctype Watch() {
	end: do
	:: atomic { can(SOURCE) && view[SOURCE] != decision -> view[SOURCE] = decision }
	:: atomic { can(TARGET) && view[TARGET] != decision -> view[TARGET] = decision }
	:: atomic { can(OPERATOR) && view[OPERATOR] != decision -> view[OPERATOR] = decision }
	od
}

active proctype SourceAgent() {
	end: do
	/* Lock, Hold, Freeze, Dump, Transfer: only while nothing is decided. */
	:: atomic { can(SOURCE) && gatePublished && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceTask == Running && !sourceLocked -> sourceLocked = true }
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceLocked && !sourceHeld && !dumped -> sourceHeld = true }
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceLocked && sourceHeld && sourceTask == Running -> sourceTask = Frozen }
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed &&
	   sourceTask == Frozen && !dumped -> dumped = true;
#ifdef UNLOCK_AT_CRIU
	   sourceLocked = false
#endif
	   }
	:: atomic { alive[SOURCE] && view[SOURCE] == Undecided && !sourceFailed && link &&
	   dumped && image == NoImage -> image = InFlight }

	/* Any of these may fail on its own account; the failure is then decided. */
	:: atomic { alive[SOURCE] && !sourceFailed && faults < FAULTS && sourceLocked &&
	   view[SOURCE] == Undecided -> sourceFailed = true; faults++ }
	:: can(SOURCE) && sourceFailed && view[SOURCE] == Undecided -> decide(SOURCE, Aborted)

#ifdef THAW_ON_TIMEOUT
	:: atomic { alive[SOURCE] && sourceTask == Frozen && view[SOURCE] == Undecided ->
	   sourceTask = Running; sourceLocked = false; sourceHeld = false; sourceFailed = true }
#endif
	/* Aborted: Unlock, Thaw, Resume. */
	:: atomic { alive[SOURCE] && view[SOURCE] == Aborted && sourceLocked -> sourceLocked = false }
	:: atomic { alive[SOURCE] && view[SOURCE] == Aborted && !sourceLocked &&
	   sourceTask == Frozen -> sourceTask = Running }
	:: atomic { alive[SOURCE] && view[SOURCE] == Aborted && sourceTask == Running &&
	   sourceHeld -> sourceHeld = false }
	/* Committed: Release, once the target answers. The full lock silences ARP, ND and RNR NAKs. */
	:: atomic { alive[SOURCE] && view[SOURCE] == Committed && !sourceSilenced &&
	   mayEnd -> sourceSilenced = true }
	:: atomic { can(SOURCE) && view[SOURCE] == Committed && sourceSilenced && !gonePublished ->
	   gonePublished = true }
	od
}

active proctype TargetAgent() {
	end: do
	/* The pod's sandbox is born locked and its device held. */
	:: atomic { alive[TARGET] && view[TARGET] == Undecided && targetTask == Absent &&
	   !targetFailed -> targetTask = CreateGate }
	:: atomic { can(TARGET) && targetTask == CreateGate && !gatePublished -> gatePublished = true }
	/* Transfer, verified by digest; Restore up to the resume gate. */
	:: atomic { alive[TARGET] && image == InFlight -> image = Verified }
	:: atomic { alive[TARGET] && image == InFlight && faults < FAULTS -> image = Damaged; faults++ }
	:: atomic { alive[TARGET] && image == Damaged -> targetFailed = true }
	:: atomic { alive[TARGET] && image == Verified && targetTask == CreateGate &&
	   view[TARGET] != Aborted -> targetTask = ResumeGate }
	:: atomic { alive[TARGET] && targetTask == CreateGate && faults < FAULTS && !targetFailed &&
	   view[TARGET] == Undecided -> targetFailed = true; faults++ }
	:: can(TARGET) && (targetFailed || targetTask == Killed) && view[TARGET] == Undecided ->
	   decide(TARGET, Aborted)

	/* Decide: one round trip in the blackout. */
	:: can(TARGET) && targetTask == ResumeGate && view[TARGET] == Undecided && !targetFailed ->
	   decide(TARGET, Committed)
#ifdef RESUME_BEFORE_DECISION
	:: atomic { alive[TARGET] && targetTask == ResumeGate && view[TARGET] == Undecided ->
	   targetJournalResuming = true; targetLocked = false; targetHeld = false; targetTask = Resumed }
#endif
	/* Committed: Answer, which can be undone; then journal, Open, and heard last: Unlock, Announce, Resume. */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetTask == ResumeGate &&
	   !targetAnswers -> targetAnswers = true }
	:: atomic { can(TARGET) && targetAnswers && !answeringPublished -> answeringPublished = true }
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetTask == ResumeGate &&
	   targetAnswers && mayOpen && !targetJournalResuming -> targetJournalResuming = true }
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetJournalResuming &&
	   targetTask == ResumeGate -> targetTask = Resumed }
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetJournalResuming &&
	   targetTask == Resumed && targetLocked -> targetLocked = false }
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetJournalResuming &&
	   targetTask == Resumed && !targetLocked && targetHeld -> targetHeld = false }
	:: atomic { can(TARGET) && targetTask == Resumed && !targetHeld && !runningPublished ->
	   runningPublished = true }
	/* CRIU ended, or the kubelet gave up on a start, before it was let go: the verified
	 * image is still here and nothing has happened since, so restore it again (TakeBack). */
	:: atomic { alive[TARGET] && view[TARGET] == Committed && targetTask == Killed &&
	   !lost && image == Verified -> targetJournalResuming = false; targetTask = CreateGate }
	/* Aborted: TearDown. */
	:: atomic { alive[TARGET] && view[TARGET] == Aborted && targetTask != Killed ->
	   targetTask = Killed; targetLocked = true }
	od
}

active proctype Operator() {
	bool mayCancel = true;
	end: do
	/* A deadline, a cancel or a deletion, at any moment before the decision. */
	:: can(OPERATOR) && mayCancel && view[OPERATOR] == Undecided ->
	   mayCancel = false; decide(OPERATOR, Aborted)
	/* Deadlines always strike in the end when nobody else can decide. */
	:: can(OPERATOR) && view[OPERATOR] == Undecided && (sourceTask == Gone || targetFailed ||
	   targetTask == Killed) -> decide(OPERATOR, Aborted)
	/* Whatever has become of the other two: it settles in the end. */
	:: atomic { can(OPERATOR) && view[OPERATOR] == Committed && sourceTask != Gone &&
	   (gonePublished || runningPublished || waitedOut) -> sourceTask = Gone }
	:: atomic { can(OPERATOR) && view[OPERATOR] == Aborted && targetTask != Killed ->
	   targetTask = Killed; targetLocked = true }
	od
}

/* What a peer's packets do to whoever can hear them. */
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
	/* Whatever was acknowledged must be in the copy that goes on. */
	:: atomic { lateSource && targetRuns -> assert(false) }
	:: atomic { earlyTarget && decision == Aborted -> assert(false) }
	:: atomic { targetRuns && decision != Committed -> assert(false) }
	/* Without a fault: somebody always answers, and nobody beside one that has been let go. */
	:: atomic { faults == 0 && decision == Committed && !sourceAnswers && !targetAnswers -> assert(false) }
	:: atomic { faults == 0 && sourceAnswers && decision == Committed && !targetLocked -> assert(false) }
	/* The end of a run: one runner, and its peers released. */
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
