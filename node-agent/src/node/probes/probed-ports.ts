// SPDX-License-Identifier: Apache-2.0
// Which network probes the kubelet makes of a pod (Kubernetes API, core/v1 Probe: httpGet, tcpSocket, grpc). Pure.
import type { Pod } from '../../../../kube/src/index.ts';

/** The targets of a pod's network probes. */
export interface ProbedPorts {
  /** TCP ports, ascending, each once. */
  ports: number[];
  /** What HTTP probes call themselves, where their headers replace the kubelet's own User-Agent. */
  userAgents: string[];
  /** The longest that the kubelet waits for one. Absent: its own default. */
  timeoutMs?: number | undefined;
}

type Container = Pod['spec']['containers'][number];
type Probe = NonNullable<Container['livenessProbe']>;

/** Undefined for a pod without network probes. A probe of another host than the pod does not count. */
export function probedPorts(pod: Pod): ProbedPorts | undefined {
  const sidecars = pod.spec.initContainers.filter((one) => one.restartPolicy === 'Always');
  const ports = new Set<number>();
  const userAgents = new Set<string>();
  const timeouts: number[] = [];
  for (const container of [...sidecars, ...pod.spec.containers]) {
    const { livenessProbe, readinessProbe, startupProbe } = container;
    for (const probe of [livenessProbe, readinessProbe, startupProbe]) {
      const port = probe ? portOf(probe, container) : undefined;
      if (port === undefined) continue;
      ports.add(port);
      if (probe?.timeoutSeconds) timeouts.push(probe.timeoutSeconds * 1000);
      const named = probe?.httpGet?.httpHeaders?.find(
        ({ name }) => name.toLowerCase() === 'user-agent',
      );
      if (named) userAgents.add(named.value);
    }
  }
  if (ports.size === 0) return undefined;
  return {
    ports: [...ports].sort((a, b) => a - b),
    userAgents: [...userAgents].sort(),
    ...(timeouts.length > 0 && { timeoutMs: Math.max(...timeouts) }),
  };
}

function portOf(probe: Probe, container: Container): number | undefined {
  if (probe.grpc) return probe.grpc.port;
  const action = probe.httpGet ?? probe.tcpSocket;
  if (!action || action.host) return undefined;
  if (typeof action.port === 'number') return action.port;
  const named = container.ports?.find((one) => one.name === action.port)?.containerPort;
  // The kubelet takes a string of digits as a number.
  return named ?? (/^\d+$/.test(action.port) ? Number(action.port) : undefined);
}
