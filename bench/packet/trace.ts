// SPDX-License-Identifier: Apache-2.0
// The second half of the part `packet`: what a message executes in the distribution's driver and in Sealift's. Both have been built, and
// their symbols listed, by main.ts; here messages go through them in a virtual machine, which steps one instruction at a time.
// usage: trace.ts CHECKOUT LAB OUT
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { basename, join } from 'node:path';
import type { Figure } from '../src/figure.ts';
import { Executed } from './executed.ts';
import { grownFigures } from './growth.ts';
import { bootDirectory, Machine } from './machine.ts';
import { placeFunctions, sectionsOf } from './symbols.ts';

const [checkout = '', lab = '', out = ''] = process.argv.slice(2);

/** Instructions that the path of a packet with data may grow by in a function. */
const AT_MOST = 4;
/** The program posts each message by a call of it. */
const DELIMITER = 'rxe_post_send';
const KINDS = [
  { kind: 'SEND of 64 B', program: 'ib_send_lat', bytes: 64, packets: 1, options: [] },
  {
    kind: 'datagram of 64 B',
    program: 'ib_send_lat',
    bytes: 64,
    packets: 1,
    options: ['-c', 'UD'],
  },
  { kind: 'WRITE of 16 KiB', program: 'ib_write_lat', bytes: 16384, packets: 4, options: [] },
  { kind: 'READ of 16 KiB', program: 'ib_read_lat', bytes: 16384, packets: 4, options: [] },
] as const;

const boot = bootDirectory(lab);
if (boot === undefined) {
  console.log(`skipped: what a message executes: ${lab} has no disk of a node yet (make lab-up)`);
  process.exit(0);
}

async function executed(
  machine: Machine,
  driver: string,
  { program, bytes, options }: (typeof KINDS)[number],
): Promise<Executed> {
  const { file, sections } = await machine.trace(`${driver}.ko`, program, bytes, options);
  const symbols = readFileSync(join(out, `${driver}.symbols`), 'utf8');
  const traced = new Executed(placeFunctions(symbols, sectionsOf(sections)), DELIMITER);
  for await (const line of createInterface({ input: createReadStream(file) })) traced.add(line);
  return traced;
}

const machine = new Machine(join(out, 'vm'), join(checkout, 'native/rxe/tests/vm.sh'));
const figures: Figure[] = [];
machine.start(boot);
try {
  for (const script of ['bench/packet/traffic.sh', 'native/rxe/tests/stock_ends.sh'])
    machine.give(join(checkout, script), basename(script));
  for (const driver of ['stock', 'own']) machine.give(join(out, `${driver}.ko`), `${driver}.ko`);
  for (const one of KINDS) {
    const stock = await executed(machine, 'stock', one);
    const own = await executed(machine, 'own', one);
    figures.push(...grownFigures(one.kind, own, stock, AT_MOST * one.packets));
  }
} finally {
  machine.stop();
}
const file = join(out, 'packet.json');
const inObjectCode = JSON.parse(readFileSync(file, 'utf8')) as Figure[];
writeFileSync(file, JSON.stringify([...figures, ...inObjectCode]));
