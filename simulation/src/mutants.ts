// SPDX-License-Identifier: Apache-2.0
// Mutants of the product's code: the mistakes that are seeded in spec/handover.pml, and one in the handling of several
// containers. Each replaces a method while a simulation runs. The simulation must find each of them.
import { Checkpointer } from '../../node-agent/src/node/dump/checkpointer.ts';
import { Restorer } from '../../node-agent/src/node/restore/restorer.ts';
import { SourceReconciler } from '../../node-agent/src/reconcilers/source/reconciler.ts';
import { TargetReconciler } from '../../node-agent/src/reconcilers/target/reconciler.ts';
import { ContainerStates } from '../../node-agent/src/reconcilers/target/container-states.ts';
import type { RuntimeHooks } from './node/runtime.ts';

export interface Mutant {
  readonly name: string;
  /** Codes of the violations by which the simulation may find it. */
  readonly violations: readonly string[];
  /** Replaces the method. @returns puts it back */
  apply(): () => void;
  readonly hooks?: Pick<RuntimeHooks, 'restored'>;
}

/** The source resumes when its deadline has passed, without a decision. */
const thawOnTimeout: Mutant = {
  name: 'thaw on timeout',
  violations: ['EarlyThaw', 'TwoRunners'],
  apply: () => {
    const { prototype } = SourceReconciler;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { decide } = prototype;
    prototype.decide = function (observed, now) {
      const { decision, stage, deadline } = observed;
      const isLate = deadline !== undefined && now > deadline && stage !== undefined;
      if (decision !== undefined || !isLate) return decide.call(this, observed, now);
      return { status: { state: 'Resumed' }, effects: [{ type: 'ResumeSource' }] };
    };
    return () => (prototype.decide = decide);
  },
};

/** The target resumes before it proposes the decision. */
const resumeBeforeDecision: Mutant = {
  name: 'resume before the decision is recorded',
  violations: ['EarlyTarget', 'TwoRunners'],
  apply: () => {
    const { prototype } = TargetReconciler;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { act } = prototype;
    prototype.act = async function (effect, observed, context) {
      if (effect.type === 'ProposeCommit') {
        await act.call(this, { type: 'ResumeTarget' }, observed as never, context);
      }
      return act.call(this, effect, observed as never, context);
    };
    return () => (prototype.act = act);
  },
};

/** The target proposes as soon as one container is at its gate. */
const decideAtFirstGate: Mutant = {
  name: 'decide when the first container is at its gate',
  violations: ['Lost', 'EarlyTarget', 'NotSettled'],
  apply: () => {
    const { prototype } = ContainerStates;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- put back below
    const { missing } = prototype;
    prototype.missing = () => [];
    return () => (prototype.missing = missing);
  },
};

/** The agent's lock ends together with CRIU's own, before the gate. */
const unlockAtCriu: Mutant = {
  name: "unlock at CRIU's own unlock",
  violations: ['EarlyTarget', 'Lost'],
  apply: () => () => undefined,
  hooks: {
    restored: (sandbox) => {
      sandbox.lock = 'none';
    },
  },
};

/** The source's agent reports nothing of what its queue pairs keep. */
const forgetNaks: Mutant = {
  name: 'forget what a peer has told the source after its dump',
  violations: ['LostNak'],
  apply: () => {
    const { prototype } = Checkpointer;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- put back below
    const { naks } = prototype;
    prototype.naks = () => Promise.resolve({ naks: [], failures: [] });
    return () => (prototype.naks = naks);
  },
};

/** The target's agent gives its queue pairs nothing of what the source has reported. */
const ignoreNaks: Mutant = {
  name: 'resume without what a peer has told the source',
  violations: ['LostNak'],
  apply: () => {
    const { prototype } = Restorer;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { resumePod } = prototype;
    prototype.resumePod = function (netns) {
      return resumePod.call(this, netns);
    };
    return () => (prototype.resumePod = resumePod);
  },
};

/** The source stops at the decision. */
const stopSourceAtOnce: Mutant = {
  name: 'stop the source before the target answers',
  violations: ['NobodyAnswers'],
  apply: () => {
    const { prototype } = SourceReconciler;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { act } = prototype;
    prototype.act = async function (effect, observed, context) {
      if (effect.type !== 'AwaitTargetAnswering') await act.call(this, effect, observed, context);
    };
    return () => (prototype.act = act);
  },
};

/** The target resumes at the decision. */
const resumeAtOnce: Mutant = {
  name: 'resume while the source answers',
  violations: ['BothAnswer'],
  apply: () => {
    const { prototype } = TargetReconciler;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { act } = prototype;
    prototype.act = async function (effect, observed, context) {
      if (effect.type === 'AnswerPeers') return;
      await act.call(this, effect, { ...observed, sourceAnswers: false } as never, context);
    };
    return () => (prototype.act = act);
  },
};

export const mutants = [
  ...[thawOnTimeout, resumeBeforeDecision, decideAtFirstGate, unlockAtCriu],
  ...[stopSourceAtOnce, resumeAtOnce, forgetNaks, ignoreNaks],
];
