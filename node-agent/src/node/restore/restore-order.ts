// SPDX-License-Identifier: Apache-2.0
// What sealift-runc tells runc and CRIU's plugin of a restore, beside the directories. A runc that was started ahead has been told
// before: it is of use only if this is the same again (docs/adr/0037).
import type { CreateRequest, RestoreOrder } from '../../support/socket-protocol.ts';
import type { BundleEditor } from '../runtime/bundle-editor.ts';
import { pluginFaults } from '../runtime/plugin-faults.ts';
import { CRIU_ENVIRONMENT } from '../runtime/runc.ts';

/**
 * @param parts path of the agent's socket, and what reads bundles
 * @param of the request, the create and the state of the restored queue pairs
 * @param uverbs path of the device's node in the container; undefined without one
 * @throws AgentError BadBundle
 */
export async function restoreOrder(
  parts: { socketPath: string; editor: Pick<BundleEditor, 'coverEnvironment'> },
  of: {
    requestUid: string;
    create: Pick<CreateRequest, 'container' | 'bundle'>;
    qpState: 'keep' | 'error';
  },
  uverbs?: string,
): Promise<Pick<RestoreOrder, 'options' | 'env'>> {
  return {
    options: ['--tcp-established', '--file-locks'],
    env: {
      ...CRIU_ENVIRONMENT,
      ...(await pluginFaults('restore')),
      SEALIFT_SOCKET: parts.socketPath,
      SEALIFT_GATE: of.requestUid,
      SEALIFT_CONTAINER: of.create.container,
      SEALIFT_QP_STATE: of.qpState,
      ...(await parts.editor.coverEnvironment(of.create.bundle)),
      ...(uverbs === undefined ? {} : { SEALIFT_UVERBS: uverbs }),
    },
  };
}
