// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { UnprovenClients } from './unproven-clients.ts';

const open = new Set<string>();
const client = (remoteAddress: string, remotePort: number) => {
  const name = `${remoteAddress} ${remotePort}`;
  open.add(name);
  return { remoteAddress, remotePort, destroy: () => void open.delete(name) as never };
};

describe('clients without a certificate', () => {
  it('of one address cannot take the places of another', () => {
    const clients = new UnprovenClients(4);
    clients.add(client('10.0.0.1', 1));
    for (let port = 1; port <= 1000; port++) clients.add(client('10.9.9.9', port));
    expect([...open]).toEqual(['10.0.0.1 1', '10.9.9.9 998', '10.9.9.9 999', '10.9.9.9 1000']);
  });

  it('do not count once they have shown one, or have gone', () => {
    open.clear();
    const clients = new UnprovenClients(2);
    for (let port = 1; port <= 10; port++) {
      clients.add(client('10.0.0.1', port));
      clients.remove({ remoteAddress: '10.0.0.1', remotePort: port });
    }
    expect(open.size).toBe(10);
  });
});
