// SPDX-License-Identifier: Apache-2.0
// Modes of pipes and eventfds that CRIU 4.1.1 does not restore, by the text of a descriptor's fdinfo (proc_pid_fdinfo(5)). A pipe
// of packets (O_DIRECT) it refuses in the dump. An eventfd with EFD_SEMAPHORE it would make one without, which gives a reader the
// whole count at once; native/criu-plugin/eventfds.c refuses it.
const O_DIRECT = 0o40000;

/** What such a file links to. */
const EVENTFD = 'anon_inode:[eventfd]';
const PIPE = /^pipe:\[\d+\]$/;

/** Whether `reasonOfMode` has to see the fdinfo of a file. */
export const hasMode = (link: string): boolean => link === EVENTFD || PIPE.test(link);

/** Why the file cannot be moved, and what to do; undefined if it can be. Pure. */
export function reasonOfMode(link: string, info: string): string | undefined {
  if (link === EVENTFD && /^eventfd-semaphore:\s*1$/m.test(info)) {
    return (
      'has an eventfd that counts as a semaphore does (EFD_SEMAPHORE), which cannot be moved. Use one without, or a semaphore in ' +
      'memory (sem_init).'
    );
  }
  const flags = parseInt(/^flags:\s*(\d+)$/m.exec(info)?.[1] ?? '0', 8);
  if (PIPE.test(link) && (flags & O_DIRECT) !== 0) {
    return 'has a pipe of packets open (O_DIRECT), which cannot be moved. Use a socket of type SOCK_SEQPACKET instead.';
  }
  return undefined;
}
