// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { unlessErrno } from './errors.ts';

/** Whether a path leads to something; a symbolic link to nothing does not. @throws what `stat` does for another cause than that */
export const exists = async (path: string): Promise<boolean> =>
  (await unlessErrno(stat(path), 'ENOENT')) !== undefined;
