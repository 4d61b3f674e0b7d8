// SPDX-License-Identifier: Apache-2.0
// The agent's settings. The chart (charts/sealift) sets them in the environment.
import { dirname } from 'node:path';
import { z } from 'zod';
import { AgentError } from './errors.ts';

const port = z.coerce.number().int().min(0).max(65535);
const directory = z.string().startsWith('/');

const environment = z.object({
  NODE_NAME: z.string().min(1),
  /** The agent's own namespace. */
  POD_NAMESPACE: z.string().min(1).default('sealift'),
  /** The node's own address, on which other agents reach the image receiver. */
  NODE_IP: z.string().min(1),
  SEALIFT_PORT: port.default(7460),
  SEALIFT_METRICS_PORT: port.default(7461),
  SEALIFT_TLS_DIR: directory.default('/run/sealift/tls'),
  /** Where the Secret with the keys of stored images is mounted. */
  SEALIFT_IMAGE_KEY_DIR: directory.default('/etc/sealift/image-keys'),
  /** `true`: images of checkpoints are encrypted on the node's disk. */
  SEALIFT_ENCRYPT_IMAGES: z.enum(['true', 'false']).default('true'),
  SEALIFT_STATE_DIR: directory.default('/var/lib/sealift'),
  SEALIFT_SOCKET: directory.default('/run/sealift/agent.sock'),
  /** `<namespace>/<name>` of the Multus network by which moved pods keep their addresses; empty: they do not. */
  SEALIFT_POD_NETWORK: z.string().default(''),
  /** `true`: only where all nodes reach each other directly, as far as their addresses show. */
  SEALIFT_POD_NETWORK_AUTO: z.enum(['true', 'false']).default('false'),
  SEALIFT_CNI_BIN_DIR: directory.default('/opt/cni/bin'),
  /** `true`: the agent writes the runtime handler into containerd's configuration. */
  SEALIFT_CONFIGURE_RUNTIME: z.enum(['true', 'false']).default('false'),
  /** A DNS label, as a RuntimeClass has it, and not that of plain pods. */
  SEALIFT_RUNTIME_HANDLER: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
    .refine((name) => name !== 'runc', 'is the handler of plain pods')
    .default('sealift'),
  /** Directory of the image whose files the agent installs on the node. */
  SEALIFT_BUNDLE: directory.default('/opt/bundle'),
  /** Directory of the node into which they go, by the node's own paths. The programs work in this directory only. */
  SEALIFT_INSTALL_DIR: directory.default('/opt/sealift'),
  /** Where the agent sees the host's files; `/` if the agent runs on the host itself. */
  SEALIFT_HOST_ROOT: directory.default('/proc/1/root'),
  /** Program of the image that enters the host's mount namespace; empty if the agent runs on the host itself. */
  SEALIFT_HOST_ENTER: z.string().default('/opt/bundle/bin/sealift-host'),
});

export interface Config {
  nodeName: string;
  /** Of the agent itself; its Lease is there. */
  namespace: string;
  stateDir: string;
  /** Of the socket; it does not outlive a boot. */
  runDir: string;
  configureRuntime: boolean;
  runtimeHandler: string;
  address: string;
  /** The receiver listens on this address only, which other nodes reach. */
  listenAddress: string;
  port: number;
  metricsPort: number;
  /** Of the agent's certificate. */
  tlsDir: string;
  /** Of the keys of stored images. */
  imageKeyDir: string;
  encryptImages: boolean;
  checkpointDir: string;
  journalDir: string;
  workDir: string;
  /** Diagnostics of failed requests. */
  failureDir: string;
  socketPath: string;
  podNetwork: { readonly network: string; readonly looksAtNodes: boolean } | undefined;
  /** On the host; the agent sees it by `Host.path`, as `installDir`. */
  cniBinDir: string;
  bundleDir: string;
  installDir: string;
  host: { root: string; enter?: string };
}

/** @throws AgentError BadRequest naming the variable. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const parsed = environment.safeParse(env);
  if (!parsed.success) {
    throw new AgentError(
      'BadRequest',
      `The environment is not valid: ${z.prettifyError(parsed.error)}`,
    );
  }
  const of = parsed.data;
  const host = of.NODE_IP.includes(':') ? `[${of.NODE_IP}]` : of.NODE_IP;
  return {
    nodeName: of.NODE_NAME,
    namespace: of.POD_NAMESPACE,
    stateDir: of.SEALIFT_STATE_DIR,
    runDir: dirname(of.SEALIFT_SOCKET),
    configureRuntime: of.SEALIFT_CONFIGURE_RUNTIME === 'true',
    runtimeHandler: of.SEALIFT_RUNTIME_HANDLER,
    address: `${host}:${of.SEALIFT_PORT}`,
    listenAddress: of.NODE_IP,
    port: of.SEALIFT_PORT,
    metricsPort: of.SEALIFT_METRICS_PORT,
    tlsDir: of.SEALIFT_TLS_DIR,
    imageKeyDir: of.SEALIFT_IMAGE_KEY_DIR,
    encryptImages: of.SEALIFT_ENCRYPT_IMAGES === 'true',
    checkpointDir: `${of.SEALIFT_STATE_DIR}/checkpoints`,
    journalDir: `${of.SEALIFT_STATE_DIR}/journal`,
    workDir: `${of.SEALIFT_STATE_DIR}/work`,
    failureDir: `${of.SEALIFT_STATE_DIR}/failures`,
    socketPath: of.SEALIFT_SOCKET,
    podNetwork:
      of.SEALIFT_POD_NETWORK === ''
        ? undefined
        : {
            network: of.SEALIFT_POD_NETWORK,
            looksAtNodes: of.SEALIFT_POD_NETWORK_AUTO === 'true',
          },
    cniBinDir: of.SEALIFT_CNI_BIN_DIR,
    bundleDir: of.SEALIFT_BUNDLE,
    installDir: of.SEALIFT_INSTALL_DIR,
    host: {
      root: of.SEALIFT_HOST_ROOT,
      ...(of.SEALIFT_HOST_ENTER ? { enter: of.SEALIFT_HOST_ENTER } : {}),
    },
  };
}
