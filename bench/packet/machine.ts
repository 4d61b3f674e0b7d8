// SPDX-License-Identifier: Apache-2.0
// The virtual machine in which the drivers are traced: the lab's kernel and disk on one emulated CPU, which QEMU can step.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where the kernel puts modules if it does not choose at random. QEMU traces nothing else. */
const MODULES = '0xffffffffc0000000+0x10000000';
/** Some 60 messages. */
const TRACE_BYTES = 50_000_000;
const PATIENCE_MS = 900_000;

/** The disk of the lab's nodes; undefined if the lab has not made it yet. */
export const bootDirectory = (lab: string): string | undefined =>
  globSync(join(lab, 'cache/node-disk-*')).find((one) => existsSync(join(one, 'disk.img')));

export class Machine {
  readonly #directory: string;
  readonly #script: string;

  /** @param script vm.sh of the driver's tests */
  constructor(directory: string, script: string) {
    this.#directory = directory;
    this.#script = script;
  }

  /** @throws Error if it does not boot */
  start(boot: string): void {
    mkdirSync(this.#path('share'), { recursive: true });
    const VM_ARGS = `-monitor unix:${this.#path('monitor')},server,nowait -dfilter ${MODULES}`;
    const { status } = spawnSync(this.#script, ['start'], {
      stdio: 'inherit',
      env: this.#environment({ VM_BOOT: boot, VM_ARGS, VM_APPEND: 'nokaslr', VM_CPUS: '1' }),
    });
    if (status !== 0)
      throw new Error(`The virtual machine does not start: see ${this.#directory}.`);
  }

  stop(): void {
    spawnSync(this.#script, ['stop'], { stdio: 'inherit', env: this.#environment() });
  }

  /** Put a file into the directory that the machine sees. */
  give(file: string, name: string): void {
    cpSync(file, this.#path('share', name));
  }

  /**
   * Step through some messages of a program.
   *
   * @param module name of the driver in the shared directory
   * @param program of perftest, with more of its options
   * @returns the file with the trace, and where the module's sections are. The next trace overwrites the file.
   * @throws Error with what the guest says if the messages do not begin
   */
  async trace(
    module: string,
    program: string,
    bytes: number,
    options: readonly string[],
  ): Promise<{ readonly file: string; readonly sections: string }> {
    const [steady, enough] = [this.#path('share/steady'), this.#path('share/enough')];
    for (const file of [steady, enough]) rmSync(file, { force: true });
    const file = this.#path('trace');
    rmSync(file, { force: true });

    const traffic = spawn(
      this.#script,
      ['run', 'bash', 'traffic.sh', module, program, `${bytes}`, ...options],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: this.#environment({ VM_TIMEOUT: `${(3 * PATIENCE_MS) / 1000}` }),
      },
    );
    const said: Buffer[] = [];
    traffic.stdout.on('data', (data: Buffer) => said.push(data));
    const ended = once(traffic, 'exit');
    const why = (): string => `${program} with ${module}: ${Buffer.concat(said).toString()}`;

    await until(() => existsSync(steady), traffic, why);
    const sections = readFileSync(steady, 'utf8');
    await this.#command(`logfile ${file}`, 'singlestep on', 'log exec,nochain');
    await until(() => existsSync(file) && statSync(file).size >= TRACE_BYTES, traffic, why);
    await this.#command('log none', 'singlestep off');
    await this.#finish(ended, why);
    return { file, sections };
  }

  /** The programs end when they are told to. */
  async #finish(ended: Promise<unknown[]>, why: () => string): Promise<void> {
    cpSync('/dev/null', this.#path('share/enough'));
    const [status] = await ended;
    if (status !== 0) throw new Error(why());
  }

  /** Commands of QEMU's monitor. */
  async #command(...lines: readonly string[]): Promise<void> {
    const monitor = connect(this.#path('monitor'));
    let said = '';
    // One prompt comes first, and one after each command.
    const done = (): boolean => said.split('(qemu)').length > lines.length + 1;
    monitor.on('data', (data) => (said += String(data)));
    await once(monitor, 'connect');
    monitor.write(lines.map((line) => `${line}\n`).join(''));
    const deadline = Date.now() + PATIENCE_MS;
    while (!done()) {
      if (Date.now() > deadline) throw new Error(`The monitor of QEMU does not answer: ${said}`);
      await sleep(100);
    }
    monitor.destroy();
  }

  #path(...names: readonly string[]): string {
    return join(this.#directory, ...names);
  }

  #environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
    return { ...process.env, VM_DIR: this.#directory, ...more };
  }
}

/** @throws Error if the traffic ends first, or the patience */
async function until(
  reached: () => boolean,
  traffic: ChildProcess,
  why: () => string,
): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!reached()) {
    if (traffic.exitCode !== null) throw new Error(why());
    if (Date.now() > deadline) throw new Error(`${why()}it takes longer than ${PATIENCE_MS} ms`);
    await sleep(200);
  }
}
