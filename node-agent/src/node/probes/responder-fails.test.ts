// SPDX-License-Identifier: Apache-2.0
// A node that has no file descriptor left for a moment, just when a pod is to be locked.
import { afterEach, expect, it, vi } from 'vitest';
import { ProbeAnswers } from './probe-answers.ts';
import { ProbeResponder } from './responder.ts';

afterEach(() => vi.restoreAllMocks());

const pod = { addresses: ['10.9.6.2'], ports: [8001], userAgents: [] };

it('answers probes as soon as the responder can listen', async () => {
  const full = Object.assign(new Error('listen EMFILE'), { code: 'EMFILE' });
  vi.spyOn(ProbeResponder.prototype, 'listen').mockRejectedValueOnce(full);
  const rules: string[] = [];
  const answers = new ProbeAnswers({
    nft: (_netns, commands) => {
      rules.push(commands);
      return Promise.resolve('');
    },
    interfaceInfo: () => Promise.resolve({ addresses: [] }),
    certificate: () => Promise.reject(new Error('there is none')),
    log: { warn: () => undefined },
  });
  answers.answerFor([pod]);
  await expect(answers.inPlace()).rejects.toThrow('EMFILE');
  await answers.inPlace();
  expect(rules.at(-1)).toContain('10.9.6.2');
  await answers.close();
});
