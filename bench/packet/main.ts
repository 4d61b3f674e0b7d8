// SPDX-License-Identifier: Apache-2.0
// The first half of the part `packet`: instructions of the functions that handle each packet, in the distribution's driver and in
// Sealift's, from their object code. Both are compiled by the builder's compiler for the same kernel. It counts what is there, not
// what runs, without what the compiler takes for unlikely. trace.ts counts what runs; here are made the modules and lists of symbols
// that it needs.
// usage: main.ts CHECKOUT LAB OUT
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { figureOf, type Figure } from '../src/figure.ts';
import { countInstructions } from './object-code.ts';

const [checkout = '', , out = ''] = process.argv.slice(2);

/** In the order in which a packet meets them. Their static helpers are inlined. */
const PATH = [
  'rxe_post_send',
  'rxe_requester',
  'rxe_prepare',
  'rxe_xmit_packet',
  'rxe_udp_encap_recv',
  'rxe_rcv',
  'rxe_resp_queue_pkt',
  'rxe_responder',
  'rxe_receiver',
  'rxe_comp_queue_pkt',
  'rxe_completer',
  'rxe_sender',
  'rxe_cq_post',
];

function stockModule(): string {
  const directory = join(out, 'stock');
  const module = join(directory, 'rdma_rxe.ko');
  if (existsSync(module)) return module;
  mkdirSync(directory, { recursive: true });
  const release = readdirSync('/usr/src').find((name) => /^linux-headers-.*-amd64$/.test(name));
  if (release === undefined) throw new Error('The builder has no kernel headers.');
  execFileSync(
    join(checkout, 'native/rxe/build.sh'),
    [`/usr/src/${release}`, '/usr/src/linux-source-6.12.tar.xz', directory],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, STOCK: '1' } },
  );
  return module;
}

function ownModule(): string {
  const directory = join(checkout, 'build/native/modules');
  const [release] = readdirSync(directory);
  if (release === undefined) throw new Error(`${directory} is empty. Run make native.`);
  return join(directory, release, 'rdma_rxe.ko');
}

const disassemble = (module: string): string =>
  execFileSync('objdump', ['--disassemble', '--no-show-raw-insn', '--section=.text', module], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });

/** The module without what only a debugger needs, and where its functions are. */
function prepareTrace(module: string, driver: string): void {
  execFileSync('strip', ['--strip-debug', '-o', join(out, `${driver}.ko`), module]);
  writeFileSync(
    join(out, `${driver}.symbols`),
    execFileSync('objdump', ['--syms', join(out, `${driver}.ko`)], { maxBuffer: 1 << 28 }),
  );
}

const modules = { stock: stockModule(), own: ownModule() };
for (const [driver, module] of Object.entries(modules)) prepareTrace(module, driver);
const stock = countInstructions(disassemble(modules.stock));
const own = countInstructions(disassemble(modules.own));
const figures: Figure[] = PATH.flatMap((name) => {
  const [before, after] = [stock.get(name), own.get(name)];
  if (before === undefined || after === undefined) return [];
  return figureOf({
    name: `object code of ${name}`,
    unit: '',
    runs: [after],
    floorRuns: [before],
  });
});
const sum = (pick: 'value' | 'floor'): number =>
  figures.reduce((total, one) => total + (one[pick] ?? 0), 0);
figures.push(
  figureOf({
    name: 'object code of all of these',
    unit: '',
    runs: [sum('value')],
    floorRuns: [sum('floor')],
  }),
);
writeFileSync(join(out, 'packet.json'), JSON.stringify(figures));
