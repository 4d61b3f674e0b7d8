// SPDX-License-Identifier: Apache-2.0
// A request's finalizer in a real API server: beside those of others, whoever has written in between.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finalizers, type MigrationRequest } from '../../../crds/src/index.ts';
import { migrationRequests, silent, type Client } from '../../../kube/src/index.ts';
import { binaries, startApiServer, type TestServer } from '../../../kube/testing/api-server.ts';
import type { Dependencies } from './dependencies.ts';
import { setFinalizer } from './finalizer.ts';

const OTHER = 'example.com/audit';
const found = binaries();

describe.skipIf(found.missing !== undefined)('a finalizer', { timeout: 60_000 }, () => {
  let server: TestServer;
  let client: Client;
  let serial = 0;
  let reads = 0;

  beforeAll(async () => {
    server = await startApiServer();
    client = server.client;
  }, 180_000);
  afterAll(() => server?.stop());

  async function make(...others: string[]): Promise<MigrationRequest> {
    reads = 0;
    const body = {
      metadata: { name: `move-${++serial}`, finalizers: others },
      spec: { podName: 'victim' },
    };
    return migrationRequests.parse(await client.create(migrationRequests, 'default', body));
  }
  const set = (observed: MigrationRequest, isPresent: boolean): Promise<void> => {
    const find = (...[resource, namespace, name]: [typeof migrationRequests, string, string]) => {
      reads++;
      return client.get(resource, namespace, name).catch(() => undefined);
    };
    const dependencies = { api: client, find } as unknown as Dependencies;
    const context = { signal: AbortSignal.timeout(30_000), log: silent };
    return setFinalizer(
      dependencies,
      migrationRequests,
      observed,
      finalizers.active,
      isPresent,
      context,
    );
  };
  const now = async ({ metadata: { name } }: MigrationRequest): Promise<MigrationRequest> =>
    client.get(migrationRequests, 'default', name);
  const listed = async (request: MigrationRequest): Promise<readonly string[]> =>
    (await now(request)).metadata.finalizers;

  it.each([[[]], [[OTHER]]])(
    'beside %j takes no read, also after the status was written',
    async (others) => {
      const request = await make(...others);
      const status = { phase: 'Pending' };
      await client.merge(migrationRequests, 'default', request.metadata.name, { status }, { subresource: 'status' }); // prettier-ignore
      await set(request, true);
      expect(await listed(request)).toEqual([...others, finalizers.active]);
      await set(await now(request), false);
      expect([await listed(request), reads]).toEqual([others, 0]);
    },
  );

  it.each([true, false])('keeps what others have added since: %s', async (isPresent) => {
    const request = await make(...(isPresent ? [] : [finalizers.active]));
    const patch = { metadata: { finalizers: [...request.metadata.finalizers, OTHER] } };
    await client.merge(migrationRequests, 'default', request.metadata.name, patch);
    await set(request, isPresent);
    expect(await listed(request)).toEqual(isPresent ? [OTHER, finalizers.active] : [OTHER]);
  });

  it('that is there already, or gone, is left as it is', async () => {
    const request = await make(finalizers.active);
    await set(request, true);
    const bare = await make();
    await set(bare, false);
    expect([await listed(request), await listed(bare), reads]).toEqual([
      [finalizers.active],
      [],
      0,
    ]);
  });

  it('is not given to another request of the name, and none is no error', async () => {
    const request = await make();
    const { name } = request.metadata;
    await client.delete(migrationRequests, 'default', name);
    await set(request, true);
    const other = await client.create(migrationRequests, 'default', {
      metadata: { name },
      spec: { podName: 'victim' },
    });
    await set(request, true);
    expect(await listed(migrationRequests.parse(other))).toEqual([]);
  });
});
