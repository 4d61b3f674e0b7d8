// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { migrationRequests } from '../../../kube/src/index.ts';
import { Output } from '../output.ts';
import { madeSoFar } from './waiting.ts';

it('names the requests that were made before one could not be', async () => {
  let error = '';
  const print = (text: string): void => void (error += text);
  const output = new Output({ out: print, error: print, isTerminal: false, now: () => 0 });
  const make = async (podName: string) => {
    if (podName === 'c') throw new Error('quota exceeded');
    const metadata = { name: `${podName}-1`, namespace: 'n', uid: podName, resourceVersion: '1' };
    return migrationRequests.parse({ metadata, spec: { podName } });
  };
  await expect(madeSoFar({ output }, ['a', 'b', 'c', 'd'], make)).rejects.toThrow('quota exceeded');
  expect(error).toBe(
    'migrationrequest.sealift.dev/a-1 created; it goes on\n' +
      'migrationrequest.sealift.dev/b-1 created; it goes on\n',
  );
  error = '';
  expect(await madeSoFar({ output }, ['a', 'b'], make)).toHaveLength(2);
  expect(error).toBe('');
});
