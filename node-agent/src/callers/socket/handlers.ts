// SPDX-License-Identifier: Apache-2.0
// The handlers of the agent's socket: which part of the agent answers which request. agent.ts makes them.
import type { GidEntry } from '../../../../crds/src/index.ts';
import type { Pod } from '../../../../kube/src/index.ts';
import type { NodeOperations } from '../../node/operations.ts';
import type { Journal } from '../../support/journal/journal.ts';
import { CreateHandler } from '../create-handler.ts';
import type { RequestLookup, TargetRequest } from '../request-lookup.ts';
import { CniHandler } from '../cni-handler.ts';
import { GateHandler } from '../gate-handler.ts';
import { PodNetworkHandler } from '../pod-network-handler.ts';
import type { Gates } from '../gates.ts';
import { settledGids } from '../../node/device/gid-tables.ts';
import { CniStateSync } from '../../node/host/fsync.ts';
import { probedPorts } from '../../node/probes/probed-ports.ts';
import type { CreateRequest } from '../../support/socket-protocol.ts';
import type { PodProbes } from '../../node/probes/probe-answers.ts';
import type { SocketHandlers } from './server.ts';

/** The handlers for SocketServer. They refuse a `gate` whose token is no move of this node. */
export function socketHandlers(parts: {
  node: NodeOperations;
  journal: Journal;
  gates: Gates;
  pods: RequestLookup;
  /** Times a target's preparation: from its first CNI call until it waits at the create gate. */
  recordPreparation(
    target: TargetRequest,
    atGate: boolean,
    seen?: { sandboxId?: string; netns?: string; probes?: PodProbes; gids?: GidEntry[] },
  ): Promise<void>;
}): SocketHandlers {
  const { node, journal, gates, pods } = parts;
  const { host, lock, driver, editor, restorer } = node;
  const probesAtGate = async (request: CreateRequest, pod: Pod) => {
    if (!node.probes || !probedPorts(pod)) return undefined;
    const netns = await restorer.netns(request);
    const probes = await node.probes.probesOf(netns, pod);
    return probes && { netns, probes };
  };
  /** What the source's agent compares before it locks the pod. Without it, the restore finds out. */
  const gidsAtGate = async (request: CreateRequest) => {
    try {
      const gids = await settledGids(driver, await restorer.netns(request));
      return gids && { gids };
    } catch {
      return undefined;
    }
  };
  const cniState = new CniStateSync(() => node.syncCniState());
  const create = new CreateHandler({
    journal,
    gates,
    editor,
    pods,
    recordWaiting: async (target, pod, request) => {
      await cniState.forSandbox(request.sandboxId);
      const probed = await probesAtGate(request, pod);
      const { sandboxId } = request;
      const seen = { sandboxId, ...probed, ...(await gidsAtGate(request)) };
      await parts.recordPreparation(target, true, seen);
      if (probed) await node.probes?.inPlace();
    },
    resumePod: (netns, addresses) => restorer.resumePod(netns, [], { addresses, containers: [] }),
  });
  const cni = new CniHandler({
    host,
    journal,
    lock,
    driver,
    pods,
    recordPreparing: (target) => parts.recordPreparation(target, false),
  });
  const podNetwork = new PodNetworkHandler({
    ...{ host, journal, lock, pods, podIp: node.podIp },
    recordPreparing: (target) => parts.recordPreparation(target, false),
  });
  const gate = new GateHandler({ journal, gates, restorer, starts: node.starts });
  return {
    create: (request, gone) => create.handle(request, gone),
    gate: (request) => gate.handle(request),
    cni: (request) => (request.network === 'pod' ? podNetwork : cni).handle(request),
  };
}
