// SPDX-License-Identifier: Apache-2.0
// Arms fault points (docs/faults.md) on nodes and in the operator, and waits until something passes them.
import { kubectl, onNode } from '../src/cluster.ts';

const FAULTS_DIR = '/var/lib/sealift/faults';
/** The location of the operator's fault points: its container. */
export const OPERATOR = 'operator';

/** Runs a line where programs look for their fault points: on a node, or in the operator's container. */
const runAt = (location: string, line: string, timeoutMs?: number): Promise<string> =>
  location === OPERATOR
    ? kubectl('-n', 'sealift', 'exec', 'deploy/sealift-operator', '--', 'sh', '-c', line)
    : onNode(location, line, timeoutMs);

/** The driver's points are names in a parameter of its module. They always throw. */
const DRIVER = 'driver.';
const PARAMETER = '/sys/module/rdma_rxe/parameters/fault';

/** @param action what happens at the points, once: `throw`, `crash` or `delay:<ms>` */
export async function arm(
  location: string,
  points: readonly string[],
  action: string,
): Promise<void> {
  const driver = points.filter((point) => point.startsWith(DRIVER));
  const files = points
    .filter((point) => !driver.includes(point))
    .map((one) => `${FAULTS_DIR}/${one}`);
  if (driver.length > 0) {
    const names = driver.map((point) => point.slice(DRIVER.length));
    await runAt(location, `echo ${names.join()} > ${PARAMETER}`);
  }
  if (files.length > 0)
    await runAt(
      location,
      `mkdir -p ${FAULTS_DIR} && for f in ${files.join(' ')}; do echo ${action} > $f; done`,
    );
}

/** Points at a location that are still armed: nothing has passed them. */
export async function armedPoints(location: string): Promise<string[]> {
  const listed = await runAt(location, `ls ${FAULTS_DIR} 2>/dev/null || true`);
  const files = listed.split('\n').filter(Boolean);
  if (location === OPERATOR) return files;
  const names = (await runAt(location, `cat ${PARAMETER}`)).trim().split(',').filter(Boolean);
  return [...files, ...names.map((name) => `${DRIVER}${name}`)];
}

/** Waits until something passes an armed point. @throws CommandError after `seconds` */
export async function waitUntilTripped(
  node: string,
  point: string,
  seconds: number,
): Promise<void> {
  const line = `for i in $(seq ${seconds * 10}); do [ -e ${FAULTS_DIR}/${point} ] || exit 0; sleep 0.1; done; exit 1`;
  await onNode(node, line, (seconds + 60) * 1000);
}

export async function disarm(locations: readonly string[]): Promise<void> {
  for (const location of locations) {
    const driver = location === OPERATOR ? '' : `; echo > ${PARAMETER}`;
    await runAt(location, `rm -rf ${FAULTS_DIR}/*${driver}`).catch(() => '');
  }
}
