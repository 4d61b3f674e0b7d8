// SPDX-License-Identifier: Apache-2.0
// A process of the node, as /proc shows it (proc_pid_stat(5), proc_pid_status(5)). The agent shares the host's PID
// namespace, so a PID here is the host's.
import { readFile, readlink, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';

export const PROC = '/proc';

export interface ProcessInfo {
  pid: number;
  /** PID of its parent. */
  parent: number;
  /** Its name, at most 15 bytes. The process itself can change it. */
  name: string;
  /** Clock ticks since boot. Together with the PID it names a process for good. */
  startTime: number;
}

/** @returns undefined for a process that has ended, a zombie included. @param proc the directory /proc */
export async function readProcess(pid: number, proc = PROC): Promise<ProcessInfo | undefined> {
  const text = await readProcFile(join(proc, String(pid), 'stat'));
  if (text === undefined) return undefined;
  // The name is in brackets and may hold brackets itself.
  const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
  const fields = text.slice(close + 2).split(' ');
  const [state, parent, startTime] = [fields[0], Number(fields[1]), Number(fields[19])];
  if (state === undefined || 'ZX'.includes(state) || Number.isNaN(startTime)) return undefined;
  return { pid, parent, name: text.slice(open + 1, close), startTime };
}

/**
 * Whether a process is in a PID namespace below the node's, as a container's tasks are. `proc_pid_status(5)`, NSpid: one
 * PID for each namespace from that of the mounted /proc on.
 * @returns undefined if it has ended
 */
export async function isInContainer(pid: number, proc = PROC): Promise<boolean | undefined> {
  const text = await readProcFile(join(proc, String(pid), 'status'));
  const pids = text === undefined ? undefined : /^NSpid:\t(.+)$/m.exec(text)?.[1];
  return pids === undefined ? undefined : pids.trim().split(/\s+/).length > 1;
}

/** Arguments of a process; empty if it has ended. */
export async function readArguments(pid: number, proc = PROC): Promise<string[]> {
  const text = await readProcFile(join(proc, String(pid), 'cmdline'));
  return text === undefined ? [] : text.replace(/\0$/, '').split('\0');
}

/** Path of the program that a process runs; undefined if it has ended or is the kernel's own. */
export const readProgram = (pid: number, proc = PROC): Promise<string | undefined> =>
  unlessErrno(unlessEnded(readlink(join(proc, String(pid), 'exe'))), 'EACCES');

/** PIDs of all processes. */
export async function listProcesses(proc = PROC): Promise<number[]> {
  return (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** A process in a message. @param container its name */
export async function processIn(container: string, pid: number, proc = PROC): Promise<string> {
  const process = await readProcess(pid, proc);
  return `Process ${pid} (${printable(process?.name ?? '?')}) in container ${container}`;
}

/** Of what a container chooses, such as the names of its processes and files: what a message may have of it. */
export const printable = (text: string, longest = 200): string =>
  text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, longest);

/** Undefined if the process has ended meanwhile, or has closed the file. */
export const unlessEnded = <T>(work: Promise<T>): Promise<T | undefined> =>
  unlessErrno(work, 'ENOENT', 'ESRCH');

const readProcFile = (path: string): Promise<string | undefined> =>
  unlessEnded(readFile(path, 'utf8'));
