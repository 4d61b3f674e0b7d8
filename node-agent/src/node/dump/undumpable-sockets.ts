// SPDX-License-Identifier: Apache-2.0
// Why a socket that CRIU 4.1.1 cannot dump, or would restore without what makes it safe, cannot be moved, and what to do.
import type { UndumpableSocket } from '../../../../native/addon/index.ts';
import { printable } from '../runtime/process.ts';

const MPTCP = 262;

type Obstacle = NonNullable<UndumpableSocket['has']>;

const whichOf = ({ fd, listens, port }: UndumpableSocket): string =>
  listens ? `listener on port ${port} (descriptor ${fd})` : `socket (descriptor ${fd})`;

/** After the move the process would send what the kernel has encrypted before as plain text. */
const KERNEL_TLS =
  'Let it encrypt by itself: OpenSSL without SSL_OP_ENABLE_KTLS, nginx without "ssl_conf_command Options KTLS", HAProxy with "ktls off".';

const OBSTACLES: Record<Obstacle, (socket: UndumpableSocket) => string> = {
  ulp: (socket) => {
    const layer = socket.layer ?? '';
    const [what, advice] =
      layer === 'tls'
        ? ['TLS in the kernel (kTLS)', KERNEL_TLS]
        : [
            `the upper layer ${printable(layer)} (TCP_ULP)`,
            'Let it do without, or close the connection first.',
          ];
    return `has a TCP ${whichOf(socket)} with ${what}, which cannot be moved. ${advice}`;
  },
  ao: (socket) =>
    `has a TCP ${whichOf(socket)} with keys of TCP-AO, which cannot be moved. Close it first, or authenticate its peers by TLS.`,
  md5: (socket) =>
    `has a TCP ${whichOf(socket)} with MD5 keys (TCP_MD5SIG), which cannot be moved. Close it first, or authenticate its peers by TLS.`,
  bpf: (socket) =>
    `has a ${whichOf(socket)} with an eBPF program as filter (SO_ATTACH_BPF), which cannot be moved. Use a classic filter ` +
    '(SO_ATTACH_FILTER), or detach it first.',
};

export function reasonOfSocket(socket: UndumpableSocket): string {
  const { family, protocol, listens, port, has } = socket;
  if (has !== undefined) return OBSTACLES[has](socket);
  if (protocol === MPTCP) {
    const which = listens ? `listens on port ${port} by MPTCP` : 'has an MPTCP connection';
    return (
      `${which}, which cannot be moved. Let it use TCP: for a Go program, the environment variable ` +
      'GODEBUG=multipathtcp=0 or ListenConfig.SetMultipathTCP(false).'
    );
  }
  return `has a socket of family ${family} and protocol ${protocol} open, which cannot be moved. Close it first.`;
}
