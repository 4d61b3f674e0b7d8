// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { loadInfiniBand } from './driver.ts';

describe('InfiniBand', () => {
  const asked = async (isLoaded: boolean): Promise<string[]> => {
    const commands: string[] = [];
    const check = async (program: string, args: readonly string[]): Promise<string> => {
      commands.push([program, ...args].join(' '));
      return '';
    };
    await loadInfiniBand({ check }, (name) => isLoaded && name === 'ib_core');
    return commands;
  };

  it('is loaded in exclusive mode where nobody has loaded it', async () => {
    expect(await asked(false)).toEqual(['modprobe ib_core netns_mode=0']);
  });

  it('stays as it is where somebody has', async () => {
    expect(await asked(true)).toEqual([]);
  });
});
