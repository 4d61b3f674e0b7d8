// SPDX-License-Identifier: Apache-2.0
// `make demo`: a perftest pair and a ledger pair on two nodes. One endpoint of each moves while traffic flows.
import { artefactsDir, type CaseContext } from './src/case.ts';
import { collectArtefacts } from './src/artefacts.ts';
import { kubectl, readyNodes, versions } from './src/cluster.ts';
import { LedgerPair } from './src/ledger-pair.ts';
import { PerftestPair } from './src/perftest-pair.ts';
import { Results, isClean, moveTable, writeReport } from './src/report.ts';
import { installSealift } from './src/sealift.ts';
import { sayWhile } from './src/wait.ts';

const NAMESPACE = 'sealift-demo';
/** Long enough for perftest to be still running when it moves, however long the preparation takes. */
const PERFTEST_S = 110;
const REPORT = 'build/demo/report.json';
const started = Date.now();
const log = (line: string): void =>
  console.log(`[${((Date.now() - started) / 1000).toFixed(0).padStart(4)} s] ${line}`);

async function runWorkloads(context: CaseContext): Promise<boolean> {
  const perftest = new PerftestPair(context, 'ib_write_bw', 1, PERFTEST_S);
  const ledger = new LedgerPair(context);
  log(`ledger: server on ${ledger.nodes.server}, client on ${ledger.nodes.client}`);
  await ledger.start();
  log(
    `perftest ib_write_bw: server on ${perftest.nodes.server}, client on ${perftest.nodes.client}`,
  );
  await perftest.start();
  const perftestEnd = Date.now() + PERFTEST_S * 1000;
  await ledger.waitForOperations('client', 500);

  log(`kubectl apply: MigrationRequest for ${perftest.pods.client}`);
  await perftest.move('client');
  log(`kubectl apply: MigrationRequest for ${ledger.pods.server}`);
  await ledger.move('server');
  await ledger.waitForOperations('client', 500);

  const ended = await sayWhile(perftest.waitForResult('client'), () => {
    const seconds = Math.round((perftestEnd - Date.now()) / 1000);
    log(seconds > 0 ? `perftest runs for another ${seconds} s` : 'perftest is about to end');
  });
  log(`perftest: client ended with ${ended.clientExit}, server with ${ended.serverExit}`);
  await ledger.stop('client');
  const { result, exits } = await ledger.waitForVerdict();
  log(`ledger: ${JSON.stringify(result)}`);
  return isClean(result) && exits.client === 0 && exits.server === 0;
}

async function main(): Promise<number> {
  const [first, second] = await readyNodes();
  if (first === undefined || second === undefined)
    throw new Error('Two nodes for pods have to be Ready. Run make lab-up or make kind-up.');
  await installSealift(log);
  await kubectl('delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=180s');
  await kubectl('create', 'namespace', NAMESPACE);
  const results = new Results();
  let clean = false;
  try {
    clean = await runWorkloads({ namespace: NAMESPACE, nodes: [first, second], results, log });
  } catch (error) {
    log(`failed: ${error instanceof Error ? error.message : String(error)}`);
    log(`collecting artefacts in ${artefactsDir('demo')}`);
    await collectArtefacts(artefactsDir('demo'), [NAMESPACE]);
  }
  await writeReport(REPORT, results.report(await versions()));
  console.log(`\n${moveTable(results.moves)}\n`);
  console.log(`ledger   ${JSON.stringify(results.ledger)}`);
  for (const p of results.perftest)
    console.log(`perftest ${p.test}: client exit ${p.clientExit}, server exit ${p.serverExit}`);
  console.log(`report   ${REPORT}`);
  console.log(clean ? 'verdict  nothing was lost' : 'verdict  FAILED');
  return clean ? 0 : 1;
}

process.exitCode = await main();
