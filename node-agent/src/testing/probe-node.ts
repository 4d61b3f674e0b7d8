// SPDX-License-Identifier: Apache-2.0
// For tests: the part of an agent that answers probes, in the network namespace in which it is started. Each line on its
// input is a JSON array of pods to answer for; it prints `in place` or the error. The end of its input ends it.
import { createInterface } from 'node:readline';
import { nft, interfaceInfo } from '../../../native/addon/index.ts';
import { readCertificates } from '../node/transfer/tls.ts';
import { ProbeAnswers, type ProbedPod } from '../node/probes/probe-answers.ts';

const [certificateDir = ''] = process.argv.slice(2);
const answers = new ProbeAnswers({
  nft,
  interfaceInfo,
  certificate: () => readCertificates(certificateDir),
  log: { warn: (...said: unknown[]) => console.error(JSON.stringify(said)) },
});
answers.start();
for await (const line of createInterface(process.stdin)) {
  const pods = JSON.parse(line) as ProbedPod[];
  answers.answerFor(pods);
  try {
    await answers.inPlace();
    for (const pod of pods) await answers.openProbesEnd(pod);
    console.log('in place');
  } catch (error) {
    console.log(String(error));
  }
}
await answers.close();
