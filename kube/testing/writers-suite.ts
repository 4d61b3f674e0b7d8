// SPDX-License-Identifier: Apache-2.0
// The chart's policies on what operator and agents write, as helm renders them, in a real API server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CheckpointRequestStatus,
  annotations,
  labels,
  MigrationRequestStatus,
  RestoreRequestStatus,
} from '../../crds/src/index.ts';
import { pods } from '../src/index.ts';
import type { TestServer } from './api-server.ts';
import { render } from './chart.ts';
import type { Manifest } from './definitions.ts';
import { Impersonation, policyPath, type Identity } from './impersonation.ts';

const account = 'system:serviceaccount:sealift:sealift-';
const operator = { user: `${account}operator`, node: 'x' };
const agent = (node: string | undefined): Identity => ({ user: `${account}agent`, node });
const requests = '/apis/sealift.dev/v1alpha1/namespaces/default';
const kinds = {
  migrationrequests: { kind: 'MigrationRequest', spec: { podName: 'p' } },
  checkpointrequests: { kind: 'CheckpointRequest', spec: { podName: 'p' } },
  restorerequests: { kind: 'RestoreRequest', spec: { checkpointName: 'c' } },
};
type Plural = keyof typeof kinds;

export function writersSuite(server: () => TestServer): void {
  describe('the policies on writers', { timeout: 60_000 }, () => {
    let others: Impersonation;
    let manifests: Manifest[] = [];
    let serial = 0;
    const admin = { user: 'somebody' };

    const patch = (who: Identity, path: string, body: object): Promise<string> =>
      others.write(who, 'PATCH', path, body);
    const write = (who: Identity, path: string, status: object): Promise<string> =>
      patch(who, `${path}/status`, { status });

    /** A request from node `a` to node `b`, or a checkpoint on node `a`. @returns its path */
    async function make(plural: Plural): Promise<string> {
      const name = `writers-${++serial}`;
      const body = { apiVersion: 'sealift.dev/v1alpha1', metadata: { name }, ...kinds[plural] };
      expect(await others.write(admin, 'POST', `${requests}/${plural}`, body)).toBe('written');
      const placed =
        plural === 'checkpointrequests'
          ? { nodeName: 'a' }
          : { source: { nodeName: 'a' }, target: { nodeName: 'b', podName: 't' } };
      const path = `${requests}/${plural}/${name}`;
      expect(await write(operator, path, { phase: 'Pending', ...placed })).toBe('written');
      return path;
    }

    beforeAll(async () => {
      const { client } = server();
      others = new Impersonation(server());
      manifests = render(server(), 'writer-policies.yaml') ?? [];
      for (const body of manifests)
        await client.rest.request({ method: 'POST', path: policyPath(body), body });
      for (const name of ['pa', 'pb']) {
        const body = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { own: '1' } } };
        await others.write(admin, 'POST', '/api/v1/nodes', body);
      }
    });
    afterAll(async () => {
      for (const one of manifests) {
        const path = `${policyPath(one)}/${one.metadata.name}`;
        await server().client.rest.request({ method: 'DELETE', path });
      }
      await others.close();
    });

    it.for(Object.keys(kinds) as Plural[])(
      'keep others from the status of %s',
      async (plural, { skip }) => {
        if (manifests.length === 0) return skip('no helm beside the API server');
        const path = await make(plural);
        // A policy takes effect a moment after its creation.
        await expect
          .poll(() => write(admin, path, { phase: 'Failed' }), { timeout: 20_000 })
          .toContain('only Sealift');
        const other = { user: 'system:serviceaccount:other:sealift-agent', node: 'a' };
        expect(await write(other, path, { phase: 'Failed' })).toContain('only Sealift');
        expect(await write(operator, path, { phase: 'Pending' })).toBe('written');
      },
    );

    it('keep an agent to requests that name its node, and to its own part', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const path = await make('migrationrequests');
      const source = { sourceAgent: { state: 'Waiting' } };
      const target = { targetAgent: { state: 'Preparing' } };
      const foreign = 'requests that name its own node';
      await expect
        .poll(() => write(agent('c'), path, source), { timeout: 20_000 })
        .toContain(foreign);
      expect(await write(agent(undefined), path, source), 'no claim').toContain(foreign);
      expect(await write(agent('a'), path, source)).toBe('written');
      expect(await write(agent('b'), path, target)).toBe('written');
      const another = 'belongs to the agent of another node';
      expect(await write(agent('b'), path, { sourceAgent: { state: 'Gone' } })).toContain(another);
      expect(await write(agent('a'), path, { targetAgent: { state: 'Running' } })).toContain(
        another,
      );
      const moved = { target: { nodeName: 'a', podName: 't' } };
      expect(await write(agent('a'), path, moved)).toContain('belongs to the operator');
      expect(await write(agent('b'), path, { phase: 'Failed' })).toContain(
        'belongs to the operator',
      );
    });

    it('keep an agent to checkpoints of its node', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const path = await make('checkpointrequests');
      const stored = { agent: { state: 'Stored' } };
      await expect
        .poll(() => write(agent('b'), path, stored), { timeout: 20_000 })
        .toContain('name its own node');
      expect(await write(agent('a'), path, stored)).toBe('written');
      const template = { podTemplate: { spec: { hostPID: true } } };
      expect(await write(agent('a'), path, template)).toContain('belongs to the operator');
    });

    it('know every field of the status', ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const parts = ['sourceAgent', 'targetAgent', 'agent', 'decision'];
      const schemas = {
        migrationrequests: MigrationRequestStatus,
        checkpointrequests: CheckpointRequestStatus,
        restorerequests: RestoreRequestStatus,
      };
      for (const [plural, schema] of Object.entries(schemas)) {
        const policy = manifests.find((one) => one.metadata.name === `sealift-${plural}-status`);
        const text = JSON.stringify(policy);
        const fields = Object.keys(schema.shape).filter((one) => !parts.includes(one));
        const missing = fields.filter((one) => !text.includes(`object.?status.?${one} ==`));
        expect(missing, plural).toEqual([]);
      }
    });

    it('keep an agent to its own node, and to what Sealift has there', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const [own, other] = ['/api/v1/nodes/pa', '/api/v1/nodes/pb'];
      const labelled = (value: string | null): object => ({
        metadata: { labels: { [labels.driverAbi]: value } },
      });
      await expect
        .poll(() => patch(agent('pa'), other, labelled('rxe-1')), { timeout: 20_000 })
        .toContain('only its own node');
      expect(await patch(agent(undefined), own, labelled('rxe-1'))).toContain('only its own node');
      expect(await patch(agent('pa'), own, labelled('rxe-1'))).toBe('written');
      const known = {
        'sealift.dev/agent-address': 'pa:1',
        [annotations.cpuFeatures]: 'avx',
        [annotations.completionVectors]: '2',
      };
      const address = { metadata: { annotations: known } };
      expect(await patch(agent('pa'), own, address)).toBe('written');
      const problem = {
        labels: { [labels.problem]: 'x' },
        annotations: { [annotations.problem]: 'X.' },
      };
      expect(await patch(agent('pa'), own, { metadata: problem })).toBe('written');
      const network = {
        [annotations.podNetwork]: 'sealift/sealift-pods',
        [annotations.podNetworkFamilies]: 'IPv4',
        [annotations.podNetworkProblem]: 'No driver.',
      };
      for (const values of [network, { [annotations.podNetworkFamilies]: null }])
        expect(await patch(agent('pa'), own, { metadata: { annotations: values } })).toBe(
          'written',
        );
      const nothingElse = 'changes only labels and annotations';
      for (const body of [
        { spec: { unschedulable: true } },
        { metadata: { labels: { own: '2' } } },
        { metadata: { labels: { own: null } } },
        { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } },
        { metadata: { annotations: { other: '1' } } },
        { metadata: { finalizers: ['example.com/x'] } },
      ]) {
        expect(await patch(agent('pa'), own, body), JSON.stringify(body)).toContain(nothingElse);
        expect(await patch(operator, own, body), JSON.stringify(body)).toContain(nothingElse);
      }
      expect(await patch(operator, own, labelled(null))).toBe('written');
      expect(await patch(operator, own, labelled('rxe-1'))).toContain('only takes the label');
      expect(await patch(admin, own, labelled('rxe-1')), 'not theirs').toBe('written');
    });

    it('come with rights that the cluster’s own roles aggregate', async ({ skip }) => {
      const roles = render(server(), 'aggregated-roles.yaml');
      if (!roles) return skip('no helm beside the API server');
      const added: Record<string, string[]> = {};
      const path = '/apis/rbac.authorization.k8s.io/v1/clusterroles';
      for (const body of roles) {
        expect(await others.write(admin, 'POST', path, body)).toBe('written');
        const { metadata, rules } = body as Manifest & {
          metadata: { labels: Record<string, string> };
          rules: { apiGroups: string[]; verbs: string[] }[];
        };
        for (const name of Object.keys(metadata.labels).filter((one) =>
          one.includes('aggregate-to'),
        ))
          added[name.split('-').at(-1) ?? ''] = rules.flatMap((one) => one.verbs);
        expect(rules.flatMap((one) => one.apiGroups)).toEqual(['sealift.dev']);
      }
      expect(added['view']).toEqual(['get', 'list', 'watch']);
      expect(added['edit']).toEqual(added['admin']);
      expect(added['edit']).toContain('create');
    });

    it('keep others from what the operator says of a pod', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const path = '/api/v1/namespaces/default/pods';
      const spec = { containers: [{ name: 'c', image: 'i' }] };
      const made = (who: Identity, metadata: object): Promise<string> => {
        const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec };
        return others.write(who, 'POST', path, body);
      };
      const forged = [
        { annotations: { [annotations.migration]: 'x' } },
        { annotations: { [annotations.restore]: 'x' } },
        { annotations: { [annotations.requestUid]: 'x' } },
        { annotations: { [annotations.podIp]: '10.0.0.1' } },
        { labels: { [labels.podIp]: '' } },
        { annotations: { [annotations.fabricIp]: '10.0.0.1' } },
        { labels: { [labels.fabricIp]: '' } },
        { labels: { [labels.role]: 'target' } },
        { labels: { [labels.role]: '' } },
      ];
      const own = "only Sealift's operator sets";
      expect(await made(admin, { name: 'pods-plain', annotations: { own: '1' } })).toBe('written');
      for (const metadata of forged) {
        await expect
          .poll(() => made(admin, { name: 'pods-forged', ...metadata }), { timeout: 20_000 })
          .toContain(own);
        expect(await patch(admin, `${path}/pods-plain`, { metadata })).toContain(own);
      }
      const metadata = {
        annotations: { [annotations.podIp]: '10.0.0.1' },
        labels: { [labels.podIp]: '', [labels.role]: 'target' },
      };
      expect(await made(operator, { name: 'pods-moved', ...metadata })).toBe('written');
      const at = `${path}/pods-moved`;
      const changed = { annotations: { [annotations.podIp]: '10.0.0.2' } };
      expect(await patch(admin, at, { metadata: changed })).toContain(own);
      // Without it a target would start from nothing, and an address would be nobody's.
      const gone = { annotations: { [annotations.podIp]: null } };
      expect(await patch(admin, at, { metadata: gone })).toContain("only Sealift's operator takes");
      expect(await patch(admin, at, { metadata: { labels: { own: '1' } } })).toBe('written');
      expect(await patch(admin, at, { metadata: { labels: { [labels.podIp]: null } } })).toBe(
        'written',
      );
      const unmarked = { metadata: { labels: { [labels.role]: null } } };
      expect(await patch(admin, at, unmarked)).toContain("only Sealift's operator takes");
      const remarked = { metadata: { labels: { [labels.role]: 'source' } } };
      expect(await patch(admin, at, remarked)).toContain(own);
      expect(await patch(operator, at, unmarked)).toBe('written');
      expect(await patch(operator, at, { metadata: gone })).toBe('written');
    });

    it.for(['status', 'ephemeralcontainers', 'resize'])(
      'keep it, too, from who writes %s',
      async (part, { skip }) => {
        if (manifests.length === 0) return skip('no helm beside the API server');
        const path = '/api/v1/namespaces/default/pods';
        const name = `pods-${part}`;
        const kept = { [annotations.podIp]: '10.0.0.1' };
        const metadata = { name, annotations: kept, labels: { [labels.podIp]: '' } };
        const container = { name: 'c', image: 'i', resources: { requests: { cpu: '1m' } } };
        const spec = { containers: [container] };
        const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec };
        expect(await others.write(operator, 'POST', path, body)).toBe('written');
        const found = async (): Promise<unknown> => {
          const { client } = server();
          return (await client.get(pods, 'default', name)).metadata.annotations[annotations.podIp];
        };
        for (const value of ['10.0.0.2', null]) {
          const change = { metadata: { annotations: { [annotations.podIp]: value } } };
          // A subresource may as well ignore it.
          await expect
            .poll(
              async () => {
                await patch(admin, `${path}/${name}/${part}`, change);
                return found();
              },
              { timeout: 5_000 },
            )
            .toBe('10.0.0.1');
          const forged = {
            metadata: {
              annotations: { [annotations.migration]: 'x' },
              labels: { [labels.fabricIp]: '' },
            },
          };
          await patch(admin, `${path}/${name}/${part}`, forged);
          const now = await server().client.get(pods, 'default', name);
          expect(now.metadata.annotations).toEqual(kept);
          expect(now.metadata.labels).toEqual({ [labels.podIp]: '' });
        }
        const reported = { status: { phase: 'Running', message: 'as a kubelet reports' } };
        if (part === 'status')
          expect(await patch(admin, `${path}/${name}/${part}`, reported)).toBe('written');
      },
    );

    it.for(['pods/binding', 'bindings'])(
      'keep it, too, from who binds a pod with %s',
      async (resource, { skip }) => {
        if (manifests.length === 0) return skip('no helm beside the API server');
        const all = '/api/v1/namespaces/default';
        const name = `pods-${resource.replace('/', '-')}`;
        const spec = { containers: [{ name: 'c', image: 'i' }] };
        const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
        expect(await others.write(admin, 'POST', `${all}/pods`, body)).toBe('written');
        const path = resource === 'bindings' ? `${all}/bindings` : `${all}/pods/${name}/binding`;
        const bind = (metadata: object): Promise<string> =>
          others.write(admin, 'POST', path, {
            ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name, ...metadata } },
            target: { apiVersion: 'v1', kind: 'Node', name: 'a' },
          });
        // The API server merges what a binding has into its pod.
        const own = "only Sealift's operator sets";
        const forged = { name: `${name}-forged`, annotations: { [annotations.podIp]: '10.0.0.1' } };
        const isObeyed = (): Promise<string> =>
          others.write(admin, 'POST', `${all}/pods`, { ...body, metadata: forged });
        await expect.poll(isObeyed, { timeout: 20_000 }).toContain(own);
        for (const key of [annotations.migration, annotations.requestUid, annotations.podIp]) {
          expect(await bind({ annotations: { [key]: '10.0.0.1' } })).toContain(own);
        }
        expect(await bind({ labels: { [labels.podIp]: '' } })).toContain(own);
        // As the scheduler does.
        expect(await bind({ annotations: { own: '1' } })).toBe('written');
        const now = await server().client.get(pods, 'default', name);
        expect(now.spec.nodeName).toBe('a');
        expect(now.metadata.annotations).toEqual({ own: '1' });
        expect(now.metadata.labels).toEqual({});
      },
    );

    it('keep an agent to the Lease of its node', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
      const lease = (name: string, holderIdentity = 'x'): object => ({
        ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name } },
        spec: { holderIdentity },
      });
      const own = 'only the Lease of its own node';
      await expect
        .poll(() => others.write(agent('a'), 'POST', path, lease('agent-b')), { timeout: 20_000 })
        .toContain(own);
      expect(await others.write(agent('a'), 'POST', path, lease('agent-a'))).toBe('written');
      expect(await others.write(operator, 'POST', path, lease('sealift-operator'))).toBe('written');
      const taken = { spec: { holderIdentity: 'a' } };
      expect(await patch(agent('a'), `${path}/sealift-operator`, taken)).toContain(own);
      expect(await patch(agent('a'), `${path}/agent-a`, taken)).toBe('written');
      const shared = 'sealift-runtime-restart';
      expect(await others.write(agent('a'), 'POST', path, lease(shared, 'b'))).toContain(
        'own name',
      );
      expect(await others.write(agent('a'), 'POST', path, lease(shared, 'a'))).toBe('written');
      const given = { spec: { holderIdentity: 'b' } };
      expect(await patch(agent('a'), `${path}/${shared}`, given)).toContain('own name');
      expect(await patch(agent('b'), `${path}/${shared}`, given)).toBe('written');
    });
  });
}
