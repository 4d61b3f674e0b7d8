// SPDX-License-Identifier: Apache-2.0
// Files of the kernel that CRIU 4.1.1 cannot make again, by what /proc/PID/fd or /proc/PID/map_files links to.

const kinds: readonly { link: RegExp; what: string; advice: string }[] = [
  {
    link: /^anon_inode:\[io_uring\]$/,
    what: 'uses io_uring',
    advice: 'Switch io_uring off (Node.js: UV_USE_IO_URING=0)',
  },
  {
    link: /^anon_inode:\[userfaultfd\]$/,
    what: 'has a userfaultfd open',
    advice: 'Close it first',
  },
  {
    link: /^\/secretmem \(deleted\)$/,
    what: 'has secret memory (memfd_secret)',
    advice: 'Use locked memory instead',
  },
  {
    link: /^anon_inode:(bpf|\[perf_event\]|kvm-|\[landlock)/,
    what: 'has an object of the kernel (BPF, perf, KVM, Landlock) open or mapped that cannot be made again',
    advice: 'Close and unmap it first',
  },
];

/** Undefined for a file of another kind. */
export function reasonOfKind(link: string): string | undefined {
  const kind = kinds.find((one) => one.link.test(link));
  return kind && `${kind.what}, which cannot be moved. ${kind.advice}.`;
}
