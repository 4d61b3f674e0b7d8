// SPDX-License-Identifier: Apache-2.0
// Command lines that never reach an API server.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { call } from '../testing/terminal.ts';
import { commands, helpOf } from './cli.ts';
import { candidates } from './completion.ts';

const dir = mkdtempSync(join(tmpdir(), 'sealift-plugin-'));
afterAll(() => rmSync(dir, { recursive: true }));
const kubeconfig = join(dir, 'config');
const server = 'https://127.0.0.1:1';
writeFileSync(
  kubeconfig,
  JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'here', users: [] },
    clusters: [{ name: 'c', cluster: { server } }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
  }),
);
writeFileSync(join(dir, 'broken'), '{');

describe('a wrong command line ends with 2, names the argument and says what to do', () => {
  it.each<[string[], RegExp]>([
    [[], /^$/],
    [['mirgate'], /There is no command 'mirgate'\. 'kubectl sealift help' lists them/],
    [['-n', 'x', 'status'], /no command '-n'\. Options come after the command/],
    [['migrate'], /POD\|deploy\/NAME\|sts\/NAME is missing\. See 'kubectl sealift migrate --help'/],
    [['migrate', 'p', '--node', 'b'], /There is no option --node\. See 'kubectl sealift migrate/],
    [['migrate', 'p', '--to'], /Option --to needs a value: --to NODE/],
    [
      ['migrate', 'p', '--priority=high'],
      /Option --priority is a whole number from -10000 to 10000, .* not 'high'/,
    ],
    [['migrate', 'p', '--priority', '10001'], /Option --priority is a whole number/],
    [['drain', 'n', '--priority', '1.5'], /Option --priority is a whole number/],
    [
      ['migrate', 'p', '--pod-ip-connections=reset'],
      /Option --pod-ip-connections is Refuse or Reset, not 'reset'/,
    ],
    [['migrate', 'p', '--wait=yes'], /Option --wait takes no value/],
    [['migrate', 'p', '-o', 'wide'], /Option -o is json or yaml, not 'wide'/],
    [
      ['migrate', 'p', '--context', 'there', '--kubeconfig', kubeconfig],
      /no context there\. It has: here/,
    ],
    [
      ['migrate', 'p', '--kubeconfig', join(dir, 'broken')],
      /The kubeconfig .*broken cannot be read: .* --kubeconfig/,
    ],
    [
      ['migrate', 'p', '--kubeconfig', join(dir, 'none')],
      /The kubeconfig .*none cannot be read: ENOENT/,
    ],
    [['migrate', 'a/b/c', '--kubeconfig', kubeconfig], /'a\/b\/c' is no name\. Give a pod's name/],
    [['migrate', 'cm/x', '--kubeconfig', kubeconfig], /'cm' in 'cm\/x' is no kind of workload/],
    [['migrate', 'deploy/', '--kubeconfig', kubeconfig], /'deploy\/' is no name/],
    [
      ['cancel', 'pod/x', '--kubeconfig', kubeconfig],
      /'pod\/x' names no request\. Give NAME, mreq\/NAME/,
    ],
    [['status', '--wait'], /--wait and --timeout need the name of a request/],
    [['status', '--timeout', '5'], /--wait and --timeout need the name of a request/],
    [['status', 'a', 'b'], /Argument 'b' is one too many/],
    ...['0', '-1', '5x', 'abc', '1.5', 'm', '501h'].map((time): [string[], RegExp] => [
      ['migrate', 'p', `--timeout=${time}`],
      /Option --timeout is a time above 0 .*such as 300 or 5m, not '/,
    ]),
    ...['cancel', 'drain', 'checkpoint', 'restore', 'explain'].map((name): [string[], RegExp] => [
      [name, 'x', '--timeout', 'soon'],
      /Option --timeout is a time above 0 .*, not 'soon'/,
    ]),
    [['completion', 'tcsh'], /SHELL is bash, zsh, fish, kubectl, not 'tcsh'/],
    [['drain'], /NODE is missing/],
  ])('%j', async (argv, message) => {
    const { code, error } = await call(argv);
    expect(code).toBe(2);
    expect(error).toMatch(message);
  });
});

it('an API server that does not answer ends with 3', async () => {
  const { code, error } = await call(['status', '--kubeconfig', kubeconfig]);
  expect(code).toBe(3);
  expect(error).toMatch(
    /The API server did not answer: .* Check the network and the kubeconfig's context/,
  );
});

describe('help', () => {
  it('lists every command, and the exit codes', async () => {
    const { code, out } = await call(['help']);
    expect(code).toBe(0);
    for (const { name } of commands) expect(out).toContain(`  ${name} `);
    expect(out).toContain('4 --timeout is over');
  });

  it.each(commands.map((one) => [one.name, one] as const))('of %s', async (name, command) => {
    const { code, out } = await call([name, '--help']);
    expect(code).toBe(0);
    expect(out).toBe(`${helpOf(command).join('\n')}\n`);
    expect(out).toContain(`Usage: kubectl sealift ${name}`);
    for (const option of Object.keys(command.options)) expect(out).toContain(`--${option}`);
    expect(out).toMatch(/^.*\.\n/);
  });
});

describe('completion', () => {
  const names = async (kind: string): Promise<string[]> =>
    kind === 'node' ? ['a', 'b'] : ['trainer', 'deploy/web'];

  it.each<[string, string[], string[]]>([
    ['commands', ['mi'], ['migrate']],
    ['commands that begin alike', ['c'], ['cancel', 'checkpoint', 'completion']],
    ['pods and workloads', ['migrate', ''], ['deploy/web', 'trainer']],
    ['a further pod', ['migrate', 'trainer', 'd'], ['deploy/web']],
    ['a node as an option', ['migrate', 'trainer', '--to', ''], ['a', 'b']],
    ['a pod after an option with a value', ['migrate', '--to', 'a', 't'], ['trainer']],
    ['options', ['migrate', '--dr'], ['--dry-run']],
    ['values of an option', ['migrate', 'x', '-o', 'j'], ['json']],
    ['shells', ['completion', 'f'], ['fish']],
    ['no second node', ['drain', 'a', ''], []],
    ['nothing of what is no command', ['nothing', ''], []],
  ])('%s', async (_name, words, wanted) => {
    expect(await candidates(commands, words, names)).toEqual(wanted);
  });

  it('ends as kubectl expects, also if the API server is away', async () => {
    const argv = ['__complete', 'migrate', '--kubeconfig', kubeconfig, ''];
    expect(await call(argv)).toEqual({ code: 0, out: ':4\n', error: '' });
    expect((await call(['__complete', 'dr'])).out).toBe('drain\n:4\n');
  });

  it.each(['bash', 'zsh', 'fish', 'kubectl'])('has a script for %s', async (shell) => {
    const { code, out } = await call(['completion', shell]);
    expect(code).toBe(0);
    expect(out).toContain('kubectl-sealift __complete');
  });
});
