// SPDX-License-Identifier: Apache-2.0
// What the node agent's inspection finds in the processes of a cgroup and on the devices of their network namespace, a line
// each: the agent's own code, as it looks at a pod before a move. The tests of native/criu-plugin bring it to a node.
// usage: inspection NETNS CGROUP   (paths)
import { RdmaDriver } from '../node/device/driver.ts';
import { DeviceObjects } from '../node/dump/device-objects.ts';
import { UnmovableFiles } from '../node/dump/unmovable.ts';
import { Host } from '../node/host/host.ts';

const [netns, cgroup] = process.argv.slice(2);
if (netns === undefined || cgroup === undefined) throw new Error('usage: inspection NETNS CGROUP');

const host = new Host({ root: '/' });
const containers = [{ name: 'main', cgroup }];
const deviceObjects = new DeviceObjects({ host, driver: new RdmaDriver() });
for await (const found of deviceObjects.findings(netns, containers))
  console.log(`${found.code}: ${found.message}`);
for await (const found of new UnmovableFiles(host).findings(containers))
  console.log(`${found.code}: ${found.message}`);
