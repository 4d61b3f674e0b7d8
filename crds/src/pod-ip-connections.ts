// SPDX-License-Identifier: Apache-2.0
// What a move does with TCP connections at the pod's own IP where the pod does not keep it.
import { z } from 'zod';

export const PodIPConnections = z.enum(['Refuse', 'Reset']);
export type PodIPConnections = z.infer<typeof PodIPConnections>;

/** What every field that takes it says. */
export const podIPConnectionsMeaning =
  'What a move does with TCP connections at the pod’s own IP on the cluster’s network, where the pod does not keep that IP. ' +
  'Refuse: the pod is not moved. Reset: it is moved without them. Its processes find them reset by the peer, and the peers get ' +
  'a reset once the move is decided; an aborted move resets none. Sockets that listen at the IP and UDP sockets at it are refused in any case.';

interface Asking {
  readonly spec: { readonly podIPConnections?: PodIPConnections | undefined };
  readonly status?:
    | { readonly policy?: { readonly podIPConnections?: PodIPConnections | undefined } | undefined }
    | undefined;
}

/** The request’s own word counts, then that of its policy. Pure. */
export const podIPConnectionsOf = ({ spec, status }: Asking): PodIPConnections =>
  spec.podIPConnections ?? status?.policy?.podIPConnections ?? 'Refuse';

/** In a message. Pure. */
export const connectionsText = (count: number): string =>
  `${count} TCP connection${count === 1 ? '' : 's'}`;
