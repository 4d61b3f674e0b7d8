// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskDirectory } from '../../support/journal/journal-directory.ts';
import { PlacedSandboxes } from './placed-sandboxes.ts';

describe('what sandboxes have got', () => {
  let dir: string;
  let placed: PlacedSandboxes;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-placed-'));
    // It need not be there yet.
    placed = new PlacedSandboxes(new DiskDirectory(join(dir, 'pod-ip')));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const here = () => ({ netns: dir, addresses: ['10.0.0.5'] });
  const gone = { netns: '/var/run/netns/gone', addresses: ['10.0.0.6'] };

  it('is known again, the newer sandbox in the place of the older one', async () => {
    expect(await placed.get('a')).toBeUndefined();
    await placed.put('a', gone);
    await placed.put('a', here());
    const again = new PlacedSandboxes(new DiskDirectory(join(dir, 'pod-ip')));
    expect(await again.get('a')).toEqual(here());
  });

  it('is written for several pods at a time', async () => {
    const names = Array.from({ length: 20 }, (_, at) => `pod-${at}`);
    await Promise.all([
      ...names.map((name) => placed.put(name, gone)),
      placed.prune((uid) => uid !== 'other'),
    ]);
    expect(readdirSync(join(dir, 'pod-ip'))).toHaveLength(20);
  });

  it('is forgotten with the pod and its sandbox, and where it cannot be read', async () => {
    await placed.put('known', gone);
    await placed.put('unknown', gone);
    await placed.put('unlisted', here());
    writeFileSync(join(dir, 'pod-ip/broken.json'), '{"netns":');
    writeFileSync(join(dir, 'pod-ip/other.json'), '{}');
    expect(await placed.get('broken')).toBeUndefined();
    expect(await placed.get('other')).toBeUndefined();
    await placed.prune((uid) => uid === 'known');
    expect(readdirSync(join(dir, 'pod-ip')).sort()).toEqual(['known.json', 'unlisted.json']);
  });
});
