// SPDX-License-Identifier: Apache-2.0
// Where in a move something is made to fail: each step is a fault point of an agent, which waits there a while.
import { kubectl, onNode } from '../src/lab.ts';

export interface Step {
  readonly name: string;
  readonly role: 'source' | 'target';
  readonly point: string;
}

/** In the order of a move. */
export const steps: readonly Step[] = [
  { name: 'before-hold', role: 'source', point: 'source.lock.before' },
  { name: 'held', role: 'source', point: 'source.hold.after' },
  { name: 'dumping', role: 'source', point: 'source.dump.before' },
  { name: 'streaming', role: 'source', point: 'source.transfer.before' },
  { name: 'restoring', role: 'target', point: 'target.prepare.after' },
  { name: 'at-the-gate', role: 'target', point: 'target.decide.before' },
  { name: 'decided', role: 'target', point: 'target.decide.after' },
];

const FAULTS_DIR = '/var/lib/sealift/faults';
/** A container of the deployment, whose folder is its own. */
export const OPERATOR = 'operator';

/** Runs a line where programs look for their fault points: on a node or in the operator's container. */
const runAt = (place: string, line: string, timeoutMs?: number): Promise<string> =>
  place === OPERATOR
    ? kubectl('-n', 'sealift', 'exec', 'deploy/sealift-operator', '--', 'sh', '-c', line)
    : onNode(place, line, timeoutMs);

/** The driver's points are names in a parameter of its module, and always `throw`. */
const DRIVER = 'driver.';
const PARAMETER = '/sys/module/rdma_rxe/parameters/fault';

/** @param action what happens there, once: `throw`, `crash`, `delay:<ms>` */
export async function arm(place: string, points: readonly string[], action: string): Promise<void> {
  const driver = points.filter((point) => point.startsWith(DRIVER));
  const files = points
    .filter((point) => !driver.includes(point))
    .map((one) => `${FAULTS_DIR}/${one}`);
  if (driver.length > 0) {
    const names = driver.map((point) => point.slice(DRIVER.length));
    await runAt(place, `echo ${names.join()} > ${PARAMETER}`);
  }
  if (files.length > 0)
    await runAt(
      place,
      `mkdir -p ${FAULTS_DIR} && for f in ${files.join(' ')}; do echo ${action} > $f; done`,
    );
}

/** Points at a place that nothing has passed yet. */
export async function armedPoints(place: string): Promise<string[]> {
  const listed = await runAt(place, `ls ${FAULTS_DIR} 2>/dev/null || true`);
  const files = listed.split('\n').filter(Boolean);
  if (place === OPERATOR) return files;
  const names = (await runAt(place, `cat ${PARAMETER}`)).trim().split(',').filter(Boolean);
  return [...files, ...names.map((name) => `${DRIVER}${name}`)];
}

/** Resolves as soon as the agent waits there. @throws CommandError after `seconds` */
export async function waitUntilTripped(
  node: string,
  point: string,
  seconds: number,
): Promise<void> {
  const line = `for i in $(seq ${seconds * 10}); do [ -e ${FAULTS_DIR}/${point} ] || exit 0; sleep 0.1; done; exit 1`;
  await onNode(node, line, (seconds + 60) * 1000);
}

export async function disarm(places: readonly string[]): Promise<void> {
  for (const place of places) {
    const driver = place === OPERATOR ? '' : `; echo > ${PARAMETER}`;
    await runAt(place, `rm -rf ${FAULTS_DIR}/*${driver}`).catch(() => '');
  }
}
