// SPDX-License-Identifier: Apache-2.0
// What people see of requests with kubectl itself: get, explain and wait.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { TestServer } from './api-server.ts';
import type { Fixture } from './definitions-suite.ts';

export function kubectlSuite(server: () => TestServer, f: Fixture): void {
  describe('kubectl', { timeout: 60_000 }, () => {
    const program = (): string => join(server().binaries, 'kubectl');
    const needs = (skip: (why: string) => void): void => {
      if (!existsSync(program())) skip('no kubectl beside the API server');
    };
    /** @returns its exit status, and what it has said */
    async function kubectl(...args: string[]): Promise<string> {
      const run = promisify(execFile)(program(), ['--kubeconfig', server().kubeconfig, ...args]);
      return run.then(
        ({ stdout }) => `0 ${stdout}`,
        (error: { code: number; stderr: string }) => `${error.code} ${error.stderr}`,
      );
    }
    /** How a request ends, as the operator writes it. */
    async function ends(name: string, hasSucceeded: boolean): Promise<void> {
      const reason = hasSucceeded ? 'Moved' : 'Cancelled';
      const at = '2026-03-04T05:06:07Z';
      const condition = (type: string, isTrue: boolean): object => ({
        ...{ type, status: isTrue ? 'True' : 'False', reason, message: 'So it is.' },
        ...{ lastTransitionTime: at, observedGeneration: 1 },
      });
      const conditions = [condition('Succeeded', hasSucceeded), condition('Failed', !hasSucceeded)];
      const source = { nodeName: 'a' };
      const phase = hasSucceeded ? 'Succeeded' : reason;
      const status = { phase, source, completionTime: at, conditions };
      await f.merge(name, { status }, 'status');
    }

    it.for<[string, string, boolean]>([
      ['success', 'condition=Succeeded', true],
      ['failure', 'condition=Failed', false],
      ['any end: success', 'jsonpath={.status.completionTime}', true],
      ['any end: failure', 'jsonpath={.status.completionTime}', false],
    ])('wait ends on %s', async ([_what, condition, hasSucceeded], { skip }) => {
      needs(skip);
      const { name } = (await f.make()).metadata;
      const waiting = kubectl('wait', `mreq/${name}`, `--for=${condition}`, '--timeout=30s');
      await ends(name, hasSucceeded);
      expect(await waiting).toBe(`0 migrationrequest.sealift.dev/${name} condition met\n`);
    });

    it('wait goes on for another end than the one that it waits for', async ({ skip }) => {
      needs(skip);
      const { name } = (await f.make()).metadata;
      await ends(name, false);
      const said = await kubectl(
        'wait',
        `mreq/${name}`,
        '--for=condition=Succeeded',
        '--timeout=1s',
      );
      expect(said).toMatch(/^1 error: timed out/);
    });

    it('get shows what people ask first', async ({ skip }) => {
      needs(skip);
      const { name } = (await f.make()).metadata;
      await ends(name, false);
      const [header = '', row = ''] = (await kubectl('get', 'mreq', name)).slice(2).split('\n');
      expect(header.split(/ {2,}/).map((one) => one.trim())).toEqual([
        ...['NAME', 'POD', 'FROM', 'TO', 'PHASE', 'BLACKOUT MS', 'AGE', 'MESSAGE'],
      ]);
      expect(row).toMatch(/victim +a +Cancelled .*So it is\./);
    });

    it('explain has a sentence', async ({ skip }) => {
      needs(skip);
      const said = await kubectl('explain', 'mreq.spec.timeouts.blackoutSeconds');
      expect(said).toMatch(/^0 [^]*DESCRIPTION:\n +[A-Z][^]*\./);
    });
  });
}
