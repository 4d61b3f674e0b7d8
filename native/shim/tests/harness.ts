// SPDX-License-Identifier: Apache-2.0
// A scratch directory with a runc and CNI plugins that write down how they were called, and an agent's
// socket whose answers the test chooses. The shim itself is the real binary.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  ms: number;
}

/** What to do with a request: reply with this object, this raw text, or close at once. */
export type Answer = object | { raw: string } | 'close' | 'silence';

/**
 * RUNC_WAITS: a restore stays until the file `go` is there, or, as the plugin sees to, what it was given is gone.
 * RUNC_STATE: what the plugin reports. RUNC_DIES: a restore is killed.
 */
const RECORDER = `#!/bin/sh
case " $* " in *" restore "*)
  echo $$ > "$RECORD/runc.pid"
  while [ -n "$RUNC_WAITS" ] && [ ! -e "$RECORD/go" ]; do
    [ -e "$SEALIFT_WHILE" ] || { touch "$RECORD/gave-up"; exit 1; }
    sleep 0.05
  done
  if [ -e "$SEALIFT_STATE" ]; then touch "$RECORD/stale"; fi
  if [ -n "$RUNC_STATE" ]; then printf '%s' "$RUNC_STATE" > "$SEALIFT_STATE"; fi
  if [ -n "$RUNC_DIES" ]; then kill -9 $$; fi;;
esac
printf '%s\\n' "$@" > "$RECORD/runc.args"
env > "$RECORD/runc.env"
grep -E '^Sig(Blk|Ign)' /proc/self/status > "$RECORD/runc.signals"
exit \${RUNC_EXIT:-0}
`;

const PLUGIN = `#!/bin/sh
printf '%s\\n' "$CNI_COMMAND" >> "$RECORD/plugin.commands"
cat > "$RECORD/plugin.$CNI_COMMAND.conf"
if [ "$CNI_COMMAND" = ADD ] && [ -n "$PLUGIN_FAILS" ]; then
  printf '{"code":7,"msg":"no master","details":""}'
  exit 1
fi
if [ "$CNI_COMMAND" = ADD ] && [ -n "$PLUGIN_DIES" ]; then kill -9 $$; fi
if [ "$CNI_COMMAND" = ADD ] && [ -n "$PLUGIN_FLOODS" ]; then exec yes; fi
[ "$CNI_COMMAND" = ADD ] && printf '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.9/24"}]}'
exit 0
`;

export class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), 'sealift-shim-'));
  readonly socket = join(this.dir, 'agent.sock');
  readonly bundle = join(this.dir, 'bundle');
  readonly root = join(this.dir, 'root');
  readonly log = join(this.dir, 'log.json');
  readonly requests: Record<string, unknown>[] = [];
  /** How often the agent's socket was connected to. */
  connections = 0;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #shim: string;
  readonly #children = new Set<ChildProcess>();

  constructor(shim: string) {
    this.#shim = shim;
    for (const directory of ['bundle', 'root', 'bin', 'cni']) mkdirSync(join(this.dir, directory));
    for (const [path, text] of [
      ['bin/runc', RECORDER],
      ['cni/macvlan', PLUGIN],
    ] as const) {
      writeFileSync(join(this.dir, path), text);
      chmodSync(join(this.dir, path), 0o755);
    }
    for (const name of ['sealift-runc', 'sealift', 'sealift-host', 'sealift-guard', 'else'])
      symlinkSync(shim, join(this.dir, name));
  }

  annotate(annotations: Record<string, string>): void {
    writeFileSync(
      join(this.bundle, 'config.json'),
      JSON.stringify({ ociVersion: '1.1.0', annotations }),
    );
  }

  /** Starts the agent; each request gets the next answer, the last one again and again. */
  async listen(...answers: Answer[]): Promise<void> {
    const server = createServer((socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
        if (!text.endsWith('\n')) return;
        this.requests.push(JSON.parse(text) as Record<string, unknown>);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer === 'silence') return;
        if (answer === 'close' || answer === undefined) socket.destroy();
        else if ('raw' in answer) socket.end(String(answer.raw));
        else socket.end(`${JSON.stringify(answer)}\n`);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.socket, resolve));
  }

  /** Ends the agent as a crash would: open requests lose their connection. */
  async crash(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    if (server) await new Promise((resolve) => server.close(resolve));
    rmSync(this.socket, { force: true });
  }

  start(
    face: string,
    args: string[],
    env: Record<string, string> = {},
    input = '',
  ): { child: ChildProcess; ended: Promise<Ended> } {
    const began = performance.now();
    const child = spawn(join(this.dir, face), args, {
      cwd: this.dir,
      env: {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        SEALIFT_SOCKET: this.socket,
        SEALIFT_RUNC: join(this.dir, 'bin/runc'),
        SEALIFT_LIMIT_MS: '2000',
        SEALIFT_IPAM_STATE: join(this.dir, 'ipam'),
        CNI_PATH: `/nowhere:${join(this.dir, 'cni')}`,
        RECORD: this.dir,
        ...env,
      },
    });
    this.#children.add(child);
    const ended = new Promise<Ended>((resolve) => {
      const out = { stdout: '', stderr: '' };
      child.stdout.on('data', (chunk: Buffer) => (out.stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (out.stderr += chunk.toString()));
      child.on('close', (status, signal) => {
        this.#children.delete(child);
        resolve({ status, signal, ...out, ms: performance.now() - began });
      });
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return { child, ended };
  }

  run(face: string, args: string[], env?: Record<string, string>, input?: string): Promise<Ended> {
    return this.start(face, args, env, input).ended;
  }

  read(name: string): string | undefined {
    const path = join(this.dir, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  has(name: string): boolean {
    return existsSync(join(this.dir, name));
  }

  /** Whether the bundle has the marker of a restore at its gate. */
  get isWaiting(): boolean {
    return this.has('bundle/sealift-waiting');
  }

  get runcPid(): number {
    return Number(this.read('runc.pid'));
  }

  /** The arguments that runc was called with; undefined if it was not. */
  runcArgs(): string[] | undefined {
    return this.read('runc.args')?.split('\n').slice(0, -1);
  }

  runcEnv(name: string): string | undefined {
    const line = this.read('runc.env')
      ?.split('\n')
      .find((entry) => entry.startsWith(`${name}=`));
    return line?.slice(name.length + 1);
  }

  pluginConf(command: string): Record<string, unknown> | undefined {
    const text = this.read(`plugin.${command}.conf`);
    return text ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  }

  async remove(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.crash();
    rmSync(this.dir, { recursive: true, force: true });
  }

  get shim(): string {
    return this.#shim;
  }
}

export type Case = readonly [name: string, run: (bench: Bench) => Promise<void>];

export const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}/stat`);

export async function until(holds: () => boolean, ms = 5000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
