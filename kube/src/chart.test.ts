// SPDX-License-Identifier: Apache-2.0
// What the chart's manifests say for values that differ from the defaults.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { binaries, startApiServer, type TestServer } from '../testing/api-server.ts';
import { chart, install, nodeOptionsOf, render, renderAll } from '../testing/chart.ts';

const found = binaries();
const { directory = '' } = { ...found } as { directory?: string };
const hasHelm = existsSync(join(directory, 'helm'));
if (!hasHelm) console.warn('SKIPPED, no helm beside the API server');

interface Volumes {
  spec: {
    template: {
      spec: {
        volumes: { name: string; secret?: object }[];
        initContainers: { volumeMounts: { name: string }[] }[];
        containers: {
          volumeMounts: { name: string; readOnly?: boolean }[];
          env: { name: string; value?: string }[];
        }[];
      };
    };
  };
}

interface Workload {
  spec: {
    template: {
      spec: {
        priorityClassName?: string;
        topologySpreadConstraints?: object[];
        containers: { env: { name: string; value?: string }[] }[];
      };
    };
  };
}
const workload = (template: string, ...values: string[]): Workload =>
  render({ binaries: directory }, template, values)?.at(-1) as unknown as Workload;

describe.skipIf(!hasHelm)('the chart', { timeout: 60_000 }, () => {
  it.each([
    ['384Mi', '--max-old-space-size=128 '],
    ['1Gi', '--max-old-space-size=341 '],
  ])('gives the operator a third of a limit of %s as heap', (limit, heap) => {
    const made = workload('operator.yaml', `operator.resources.limits.memory=${limit}`);
    expect(nodeOptionsOf(made)).toContain(heap);
  });

  it('gives the agent a heap by its own limit', () => {
    const made = workload('agent.yaml', 'agent.resources.limits.memory=600Mi');
    expect(nodeOptionsOf(made)).toContain('--max-old-space-size=200 ');
  });

  it('refuses a limit that it cannot compute with', () => {
    expect(() => workload('operator.yaml', 'operator.resources.limits.memory=300M')).toThrow(
      /Mi or Gi/,
    );
  });

  it('keeps one of several operators running, on different nodes', () => {
    const several = ['operator.replicas=2'];
    const [budget] = render({ binaries: directory }, 'disruption-budget.yaml', several) ?? [];
    expect(budget).toMatchObject({ kind: 'PodDisruptionBudget', spec: { maxUnavailable: 1 } });
    const { spec } = workload('operator.yaml', ...several).spec.template;
    expect(spec.topologySpreadConstraints).toHaveLength(1);
    expect(spec.priorityClassName).toBe('system-cluster-critical');
    // One that may not be evicted would keep its node from being drained.
    expect(() => render({ binaries: directory }, 'disruption-budget.yaml')).toThrow(
      /could not find/,
    );
  });

  it('tells the operator which paths the nodes share, one a line', () => {
    const names = (...values: string[]) =>
      workload('operator.yaml', ...values).spec.template.spec.containers[0]?.env.filter(
        ({ name }) => name === 'SEALIFT_SHARED_HOST_PATHS',
      );
    expect(names()).toEqual([]);
    const two = 'operator.sharedHostPaths={/scratch,/data/shared}';
    expect(names(two)?.map(({ value }) => value)).toEqual(['/scratch\n/data/shared']);
    expect(() => names('operator.sharedHostPaths={scratch}')).toThrow(/sharedHostPaths/);
  });

  it('hands on what the runtime says of a pod to the plugins that its networks wrap', () => {
    const configs = (...values: string[]) =>
      (render({ binaries: directory }, 'networks.yaml', values) ?? []).map((one) => {
        const { spec } = one as unknown as { spec: { config: string } };
        return (JSON.parse(spec.config) as { capabilities: object }).capabilities;
      });
    const [pods] = configs('podNetwork.enabled=true');
    expect(pods).toMatchObject({ portMappings: true, bandwidth: true });
    // They are the kept pod's, not the request's.
    expect(pods).not.toHaveProperty('ips');
    const fabric = ['networks[0].name=fabric', 'networks[0].delegate.type=macvlan'];
    expect(configs(...fabric)).toEqual([{ ips: true, mac: true }]);
    expect(configs(...fabric, 'networks[0].delegate.capabilities.deviceID=true')).toEqual([
      { ips: true, mac: true, deviceID: true },
    ]);
  });

  describe('lets moved pods keep their addresses', () => {
    const multus = ['k8s.cni.cncf.io/v1'];
    /** Names of the Multus networks that it creates. */
    const networks = (values: string[], served: string[] = []): unknown[] => {
      try {
        const made = render({ binaries: directory }, 'networks.yaml', values, served) ?? [];
        return made.map((one) => one.metadata.name);
      } catch (error) {
        // What helm says of a template from which nothing comes.
        if (/could not find template/.test(String(error))) return [];
        throw error;
      }
    };
    const told = (...values: string[]): unknown[] => {
      const env = workload('agent.yaml', ...values).spec.template.spec.containers[0]?.env ?? [];
      return ['SEALIFT_POD_NETWORK', 'SEALIFT_POD_NETWORK_AUTO'].map(
        (wanted) => env.find(({ name }) => name === wanted)?.value,
      );
    };

    it.each<[string, string[], string[], string[]]>([
      ['by default, where the cluster has Multus', [], multus, ['sealift-pods']],
      ['by default not, where it has none', [], [], []],
      ['nor where it has another API', [], ['k8s.ovn.org/v1'], []],
      ['whatever helm knows of the cluster', ['podNetwork.enabled=true'], [], ['sealift-pods']],
      ['unless it is off', ['podNetwork.enabled=false'], multus, []],
    ])('%s', (_what, values, served, made) => {
      expect(networks(values, served)).toEqual(made);
    });

    it('and says so to the agents, which look at their nodes', () => {
      expect(told()).toEqual(['sealift/sealift-pods', 'true']);
      expect(told('podNetwork.enabled=true')).toEqual(['sealift/sealift-pods', 'false']);
      expect(told('podNetwork.enabled=false')).toEqual([undefined, undefined]);
      expect(() => told('podNetwork.enabled=maybe')).toThrow(/podNetwork/);
    });
  });

  it.each([
    ['podNetwork=null', /missing property 'podNetwork'/],
    ['operator.limits=null', /\/operator': missing property 'limits'/],
    ['agent.resources.limits=null', /missing property 'limits'/],
    ['agent.resources.limits.memory=1.5Gi', /Mi or Gi/],
    ['images.agent.tag=', /neither tag nor digest/],
    ['images.operator.repository=registry.example/a:1', /repository/],
    ['images.operator.tag=1', /got number, want string/],
    ['runtimeClass.handler=runc', /the handler of plain pods/],
    ['runtimeClass.handler=a.b', /handler/],
    ['agent.cniBinDir=/', /cniBinDir/],
    ['agent.nodeSelector.gpu=true', /nodeSelector/],
    ['agent.metricsPort=7460', /agent.port, agent.metricsPort is 7460 twice/],
    ['operator.metricsPort=7463', /7463 twice/],
    ['networks[0].name=A_b', /networks/],
    ['unknown=1', /unknown/],
  ])('refuses %s, and says what is wrong', (value, expected) => {
    const all = () =>
      renderAll({ binaries: directory }, { release: 'sealift', namespace: 'sealift' }, [value]);
    expect(all).toThrow(expected);
  });

  it.each(['my.release', '1st'])(
    'refuses the release name %s: a Service cannot have it',
    (release) => {
      const all = () => renderAll({ binaries: directory }, { release, namespace: 'sealift' });
      expect(all).toThrow(/begin with a letter, and use no dots/);
    },
  );

  it('takes images from a private registry, by digest, too', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const own = [
      ...['images.agent.repository=registry.example:5000/team/agent', 'images.agent.tag='],
      ...[`images.agent.digest=${digest}`, 'images.pullSecrets[0].name=pull'],
    ];
    for (const template of ['agent.yaml', 'uninstall.yaml']) {
      const spec = JSON.stringify(workload(template, ...own));
      expect(spec).toContain(`registry.example:5000/team/agent@${digest}`);
      expect(spec).toContain('"imagePullSecrets":[{"name":"pull"}]');
    }
  });

  it('mounts nothing that a node with read-only system directories could not have', () => {
    const { volumes } = (workload('agent.yaml') as unknown as Volumes).spec.template.spec;
    const paths = (volumes as { hostPath?: { path: string; type?: string } }[])
      .filter(({ hostPath }) => hostPath?.type !== undefined)
      .map(({ hostPath }) => hostPath?.path);
    // The kubelet and its runtime keep their own state beside these.
    expect(paths).toEqual(['/var/lib/sealift', '/run/sealift']);
    expect(JSON.stringify(volumes)).not.toContain('"/opt');
  });

  it('uninstalls where the operator may be, and never on a node because agents may be there', () => {
    const { spec } = (
      workload('uninstall.yaml', 'operator.nodeSelector.pool=system') as unknown as {
        spec: { template: { spec: { nodeSelector: object; tolerations?: object[] } } };
      }
    ).spec.template;
    expect(spec.nodeSelector).toMatchObject({ pool: 'system', 'kubernetes.io/os': 'linux' });
    // The agents tolerate everything, a node that is down, too.
    expect(spec.tolerations).toBeUndefined();
  });

  it.each(['agent.yaml', 'operator.yaml', 'uninstall.yaml'])(
    'keeps %s off nodes of another system or architecture',
    (template) => {
      expect(workload(template).spec.template.spec).toMatchObject({
        nodeSelector: { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' },
      });
    },
  );

  describe('encrypts stored images', () => {
    const rulesOf = (...values: string[]): string =>
      JSON.stringify(render({ binaries: directory }, 'rbac.yaml', values));
    const agentOf = (...values: string[]) =>
      (workload('agent.yaml', ...values) as unknown as Volumes).spec.template.spec;
    const environment = (template: string, ...values: string[]) =>
      Object.fromEntries(
        workload(template, ...values).spec.template.spec.containers[0]?.env.map(
          ({ name, value }) => [name, value],
        ) ?? [],
      );

    it('with a Secret that survives an uninstall, which only the operator reads by the API', () => {
      const [secret] = render({ binaries: directory }, 'image-keys.yaml') ?? [];
      expect(secret).toMatchObject({
        kind: 'Secret',
        metadata: {
          name: 'sealift-image-keys',
          annotations: { 'helm.sh/resource-policy': 'keep' },
        },
      });
      // With a field here, an upgrade would take the operator's keys away.
      expect(Object.keys(secret ?? {})).not.toContain('data');
      const holders = (render({ binaries: directory }, 'rbac.yaml') ?? []).filter((one) =>
        JSON.stringify(one).includes('sealift-image-keys'),
      );
      expect(holders.map(({ kind, metadata }) => [kind, metadata?.name])).toEqual([
        ['Role', 'sealift-operator'],
      ]);
      expect(environment('operator.yaml')).toMatchObject({
        SEALIFT_IMAGE_KEY_SECRET: 'sealift-image-keys',
      });
    });

    it('and mounts the Secret where images are encrypted, and nowhere else', () => {
      const { volumes, containers, initContainers } = agentOf();
      expect(volumes.find(({ name }) => name === 'image-keys')?.secret).toEqual({
        secretName: 'sealift-image-keys',
        defaultMode: 0o400,
        optional: true,
      });
      const mounted = containers.flatMap(({ volumeMounts }) => volumeMounts);
      expect(mounted.find(({ name }) => name === 'image-keys')?.readOnly).toBe(true);
      const others = initContainers.flatMap(({ volumeMounts }) => volumeMounts);
      expect(others.map(({ name }) => name)).not.toContain('image-keys');
      expect(others.map(({ name }) => name)).toContain('state');
    });

    it('by the keys of somebody else’s Secret, which the operator does not touch', () => {
      const theirs = 'imageEncryption.existingSecret=theirs';
      expect(agentOf(theirs).volumes.at(-1)?.secret).toMatchObject({ secretName: 'theirs' });
      expect(rulesOf(theirs)).not.toMatch(/theirs|image-keys/);
      expect(environment('operator.yaml', theirs)).not.toHaveProperty('SEALIFT_IMAGE_KEY_SECRET');
      expect(environment('agent.yaml', theirs)).toMatchObject({ SEALIFT_ENCRYPT_IMAGES: 'true' });
      expect(() => render({ binaries: directory }, 'image-keys.yaml', [theirs])).toThrow(
        /could not find/,
      );
    });

    it('unless it is off: then earlier images stay readable', () => {
      const off = 'imageEncryption.enabled=false';
      expect(environment('agent.yaml', off)).toMatchObject({ SEALIFT_ENCRYPT_IMAGES: 'false' });
      expect(agentOf(off).volumes.map(({ name }) => name)).toContain('image-keys');
      expect(environment('operator.yaml', off)).not.toHaveProperty('SEALIFT_IMAGE_KEY_SECRET');
    });
  });
});

describe.skipIf(!hasHelm || found.missing !== undefined)(
  'helm, before a real API server',
  { timeout: 120_000 },
  () => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startApiServer();
      await server.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'sealift' } });
    }, 180_000);
    afterAll(() => server?.stop());

    /** What `helm install` would make, and tell its user. The test's API server has the RuntimeClass already. */
    const installed = (...values: string[]): string =>
      install(server, ['runtimeClass.create=false', ...values]);

    it('installs without Multus and says so, and with it makes the network', async () => {
      const without = installed();
      expect(without).not.toContain('kind: NetworkAttachmentDefinition');
      expect(without).toMatch(/The cluster has no Multus .*helm upgrade/s);
      expect(installed('podNetwork.enabled=false')).not.toContain('Multus (no API');
      const names = {
        kind: 'NetworkAttachmentDefinition',
        plural: 'network-attachment-definitions',
      };
      const group = 'k8s.cni.cncf.io';
      const openAPIV3Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
      await server.create({
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: `${names.plural}.${group}` },
        spec: {
          ...{ group, names, scope: 'Namespaced' },
          versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
        },
      });
      await expect
        .poll(() => installed(), { timeout: 30_000, interval: 1000 })
        .toMatch(/kind: NetworkAttachmentDefinition.*sealift-pods/s);
      expect(installed()).toContain('sealift.dev/pod-network-problem.');
    });

    it('takes a release back that an uninstall has not ended, as its README says', () => {
      const helm = (...args: string[]): string =>
        execFileSync(
          join(server.binaries, 'helm'),
          [...args, '--namespace', 'sealift', '--kubeconfig', server.kubeconfig],
          { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
        );
      const kubectl = (...args: string[]): string =>
        execFileSync(
          join(server.binaries, 'kubectl'),
          ['--kubeconfig', server.kubeconfig, '-n', 'sealift', ...args],
          { encoding: 'utf8' },
        );
      const agent = (): { spec: { template: object; updateStrategy: object } } =>
        JSON.parse(kubectl('get', 'daemonset', 'sealift-agent', '-o', 'json')) as never;
      const values = ['--set', 'runtimeClass.create=false', '--set', 'podNetwork.enabled=false'];
      const upgrade = () =>
        helm('upgrade', '--install', 'sealift', chart, '--skip-crds', ...values);
      upgrade();
      const { template, updateStrategy } = agent().spec;
      // No controller runs here: the hook's Job never ends, as one of a cluster whose pods are in the way.
      expect(() => helm('uninstall', 'sealift', '--timeout', '2s')).toThrow(/timed out|condition/);
      expect(upgrade).toThrow(/has no deployed releases|another operation/);
      // What the Job does to the DaemonSet before a node fails.
      const uninstalling = {
        containers: [{ name: 'agent', args: ['idle'], volumeMounts: [] }],
        initContainers: [{ name: 'install', args: ['uninstall'] }],
      };
      const patch = { spec: { template: { spec: uninstalling } } };
      kubectl('patch', 'daemonset', 'sealift-agent', '-p', JSON.stringify(patch));
      kubectl('delete', 'job', 'sealift-uninstall');
      const history = JSON.parse(helm('history', 'sealift', '-o', 'json')) as {
        revision: number;
      }[];
      helm('rollback', 'sealift', `${history.at(-1)?.revision}`);
      expect(agent().spec).toMatchObject({ template, updateStrategy });
      upgrade();
      expect(helm('status', 'sealift')).toContain('STATUS: deployed');
    });
  },
);
