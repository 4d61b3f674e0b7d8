// SPDX-License-Identifier: Apache-2.0
// `make demo`: two perftest pods and a ledger pair on two nodes; one end of each moves while traffic flows.
import { artefactsDir } from './case.ts';
import { collect } from './artefacts.ts';
import { kubectl, readyNodes, versions } from './lab.ts';
import { LedgerPair, PerftestPair, type Stage } from './players.ts';
import { Facts, isClean, moveTable, writeReport } from './report.ts';
import { installSealift } from './sealift.ts';

const NAMESPACE = 'sealift-demo';
const REPORT = 'build/demo/report.json';
const started = Date.now();
const tell = (line: string): void =>
  console.log(`[${((Date.now() - started) / 1000).toFixed(0).padStart(4)} s] ${line}`);

async function scene(stage: Stage): Promise<boolean> {
  // Long enough to be in mid-run when it moves, whatever preparing takes.
  const perftest = new PerftestPair(stage, 'ib_write_bw', 1, 110);
  const ledger = new LedgerPair(stage);
  tell(`ledger: server on ${ledger.nodes.server}, client on ${ledger.nodes.client}`);
  await ledger.begin();
  tell(
    `perftest ib_write_bw: server on ${perftest.nodes.server}, client on ${perftest.nodes.client}`,
  );
  await perftest.begin();
  await ledger.progress('client', 500);

  tell(`kubectl apply: MigrationRequest for ${perftest.pods.client}`);
  await perftest.move('client');
  tell(`kubectl apply: MigrationRequest for ${ledger.pods.server}`);
  await ledger.move('server');
  await ledger.progress('client', 500);

  tell('waiting for perftest to end by itself');
  const ended = await perftest.finish('client');
  tell(`perftest: client ended with ${ended.clientExit}, server with ${ended.serverExit}`);
  await ledger.stop('client');
  const { result, exits } = await ledger.verdict();
  tell(`ledger: ${JSON.stringify(result)}`);
  return isClean(result) && exits.client === 0 && exits.server === 0;
}

async function main(): Promise<number> {
  const [first, second] = await readyNodes();
  if (first === undefined || second === undefined) throw new Error('two nodes have to be Ready');
  await installSealift(tell);
  await kubectl('delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=180s');
  await kubectl('create', 'namespace', NAMESPACE);
  const facts = new Facts();
  let clean = false;
  try {
    clean = await scene({ namespace: NAMESPACE, nodes: [first, second], facts, tell });
  } catch (error) {
    tell(`failed: ${error instanceof Error ? error.message : String(error)}`);
    tell(`collecting artefacts in ${artefactsDir('demo')}`);
    await collect(artefactsDir('demo'), [NAMESPACE]);
  }
  await writeReport(REPORT, facts.report(await versions()));
  console.log(`\n${moveTable(facts.moves)}\n`);
  console.log(`ledger   ${JSON.stringify(facts.ledger)}`);
  for (const p of facts.perftest)
    console.log(`perftest ${p.test}: client exit ${p.clientExit}, server exit ${p.serverExit}`);
  console.log(`report   ${REPORT}`);
  console.log(clean ? 'verdict  nothing was lost' : 'verdict  FAILED');
  return clean ? 0 : 1;
}

process.exitCode = await main();
