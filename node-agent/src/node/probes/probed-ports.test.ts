// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Pod } from '../../../../kube/src/index.ts';
import { probedPorts } from './probed-ports.ts';

const pod = (containers: object[], initContainers: object[] = []): Pod =>
  Pod.parse({
    metadata: { name: 'app', namespace: 'default', uid: 'u' },
    spec: {
      containers: containers.map((one, at) => ({ name: `c${at}`, ...one })),
      initContainers: initContainers.map((one, at) => ({ name: `i${at}`, ...one })),
    },
  });

describe('the network probes of a pod', () => {
  it('are none without probes, with programs only, or with another host', () => {
    const elsewhere = { httpGet: { port: 80, host: 'example.com' } };
    expect(probedPorts(pod([{}]))).toBeUndefined();
    expect(probedPorts(pod([{ livenessProbe: { exec: { command: ['true'] } } }]))).toBeUndefined();
    expect(probedPorts(pod([{ livenessProbe: elsewhere }]))).toBeUndefined();
    expect(
      probedPorts(pod([{ livenessProbe: { tcpSocket: { port: 80, host: '192.0.2.1' } } }])),
    ).toBeUndefined();
  });

  it('are of three kinds and of three actions, each port once', () => {
    const found = probedPorts(
      pod([
        { livenessProbe: { tcpSocket: { port: 9001 } }, readinessProbe: { grpc: { port: 9002 } } },
        { startupProbe: { httpGet: { port: 9000 } }, livenessProbe: { httpGet: { port: 9001 } } },
      ]),
    );
    expect(found).toEqual({ ports: [9000, 9001, 9002], userAgents: [] });
  });

  it('resolve a name with the ports of their own container, and digits as a number', () => {
    const named = { livenessProbe: { httpGet: { port: 'health' } } };
    const ports = (containerPort: number) => [{ name: 'health', containerPort }];
    expect(probedPorts(pod([{ ...named, ports: ports(81) }, { ports: ports(82) }]))?.ports).toEqual(
      [81],
    );
    expect(probedPorts(pod([named]))).toBeUndefined();
    expect(probedPorts(pod([{ livenessProbe: { tcpSocket: { port: '83' } } }]))?.ports).toEqual([
      83,
    ]);
  });

  it('count of sidecars, but not of init containers that have ended', () => {
    const probe = (port: number) => ({ livenessProbe: { tcpSocket: { port } } });
    const init = [{ ...probe(1), restartPolicy: 'Always' }, probe(2)];
    expect(probedPorts(pod([probe(3)], init))?.ports).toEqual([1, 3]);
  });

  it('name the User-Agent that a probe sends instead of the kubelet’s', () => {
    const httpHeaders = [
      { name: 'X', value: 'y' },
      { name: 'user-agent', value: 'mine/1' },
    ];
    const found = probedPorts(pod([{ livenessProbe: { httpGet: { port: 80, httpHeaders } } }]));
    expect(found?.userAgents).toEqual(['mine/1']);
  });
});
