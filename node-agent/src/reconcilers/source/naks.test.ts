// SPDX-License-Identifier: Apache-2.0
// What peers have told a source after its dump, once and for ever: its report has it.
import { describe, expect, it, vi } from 'vitest';
import { MAX_NAKS, type Nak } from '../../../../crds/src/index.ts';
import type { Entry } from '../../support/journal/journal.ts';
import {
  decide,
  dieAt,
  put,
  run,
  runs,
  sourceNode,
  stage,
  status,
  type Point,
} from '../../testing/source-agent.ts';
import { withNaks } from './journal-entry.ts';

const nak: Nak = { qpn: 17, psn: 0xfffff0, syndrome: 0x62 };

describe('a source', () => {
  it('reports what its peers have told its queue pairs since the dump, when nothing of it is heard any more', async () => {
    put();
    await run();
    expect(status()?.sourceAgent).not.toHaveProperty('naks');
    sourceNode.kept = [nak];
    decide('Committed');
    await runs();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Gone', naks: [nak] });
  });

  it('reports what they have told by the end of the transfer at once, and what has come later', async () => {
    sourceNode.kept = [nak];
    put();
    await run();
    await vi.waitFor(() =>
      expect(status()?.sourceAgent).toMatchObject({ state: 'Sent', naks: [nak] }),
    );
    const later = { ...nak, qpn: 18 };
    sourceNode.kept = [nak, later];
    decide('Committed');
    await runs();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Gone', naks: [nak, later] });
  });

  it('is sent though that cannot be read then', async () => {
    sourceNode.fail = { at: 'naks', error: new Error('EIO') };
    put();
    await run();
    expect([stage(), status()?.sourceAgent?.state]).toEqual(['Sent', 'Sent']);
  });

  it.each(['stop.before', 'stop.after'] as Point[])(
    'reports it though its agent dies at %s, and its queue pairs are gone',
    async (point) => {
      put();
      await run();
      sourceNode.kept = [nak];
      decide('Committed');
      await dieAt(point);
      sourceNode.kept = [];
      await runs();
      expect(status()?.sourceAgent).toMatchObject({ state: 'Gone', naks: [nak] });
    },
  );
});

describe('the NAKs of an entry', () => {
  const entry = (naks?: Nak[]) => ({ ...(naks && { naks }) }) as Entry;

  it('are those of before and those of other queue pairs', () => {
    const other = { ...nak, qpn: 18 };
    expect(withNaks(entry(), [])).toEqual({});
    expect(withNaks(entry([nak]), [])).toEqual({ naks: [nak] });
    expect(withNaks(entry([nak]), [{ ...nak, psn: 1 }, other])).toEqual({ naks: [nak, other] });
  });

  it('are no more than a request may have', () => {
    const many = Array.from({ length: MAX_NAKS + 1 }, (_, qpn) => ({ ...nak, qpn }));
    expect(withNaks(entry(), many).naks).toHaveLength(MAX_NAKS);
  });
});
