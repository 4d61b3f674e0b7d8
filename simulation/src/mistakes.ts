// SPDX-License-Identifier: Apache-2.0
// The mistakes of spec/handover.pml, and one of several containers, made in the code as it runs here and nowhere else. The simulation has to find
// each: a net that catches nothing proves nothing.
import { SourceReconciler } from '../../node-agent/src/reconcilers/source/reconciler.ts';
import { TargetReconciler } from '../../node-agent/src/reconcilers/target/reconciler.ts';
import { ContainerStates } from '../../node-agent/src/reconcilers/target/container-states.ts';
import type { KubeletHooks } from './node/kubelet.ts';

export interface Mistake {
  readonly name: string;
  /** Codes of the violations that show it. */
  readonly shows: readonly string[];
  /** @returns undoes it. */
  make(): () => void;
  readonly hooks?: Pick<KubeletHooks, 'restored'>;
}

/** The source thaws when it has waited long enough. */
const thawOnTimeout: Mistake = {
  name: 'thaw on timeout',
  shows: ['EarlyThaw', 'TwoRunners'],
  make: () => {
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

/** The target runs first and records afterwards. */
const resumeBeforeDecision: Mistake = {
  name: 'resume before the decision is recorded',
  shows: ['EarlyTarget', 'TwoRunners'],
  make: () => {
    const { prototype } = TargetReconciler;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { act } = prototype;
    prototype.act = async function (effect, observed, context) {
      if (effect.type === 'ProposeCommit') {
        await act.call(this, { type: 'OpenResumeGates' }, observed as never, context);
      }
      return act.call(this, effect, observed as never, context);
    };
    return () => (prototype.act = act);
  },
};

/** The first container at its gate is taken for all. */
const decideAtFirstGate: Mistake = {
  name: 'decide when the first container is at its gate',
  shows: ['Lost', 'EarlyTarget', 'NotSettled'],
  make: () => {
    const { prototype } = ContainerStates;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- put back below
    const { missing } = prototype;
    prototype.missing = () => [];
    return () => (prototype.missing = missing);
  },
};

/** The agent's own lock ends with CRIU's, before the gate. */
const unlockAtCriu: Mistake = {
  name: "unlock at CRIU's own unlock",
  shows: ['EarlyTarget', 'Lost'],
  make: () => () => undefined,
  hooks: {
    restored: (sandbox) => {
      sandbox.lock = 'none';
    },
  },
};

/** The source ends at the decision. */
const endAtOnce: Mistake = {
  name: 'end before the target answers',
  shows: ['NobodyAnswers'],
  make: () => {
    const { prototype } = SourceReconciler;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
    const { act } = prototype;
    prototype.act = async function (effect, observed, context) {
      if (effect.type !== 'AwaitTargetAnswering') await act.call(this, effect, observed, context);
    };
    return () => (prototype.act = act);
  },
};

/** The target goes on at the decision. */
const openAtOnce: Mistake = {
  name: 'go on while the source answers',
  shows: ['BothAnswer'],
  make: () => {
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

export const mistakes = [
  ...[thawOnTimeout, resumeBeforeDecision, decideAtFirstGate, unlockAtCriu],
  ...[endAtOnce, openAtOnce],
];
