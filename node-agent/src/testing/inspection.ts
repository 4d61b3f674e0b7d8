// SPDX-License-Identifier: Apache-2.0
// What the node agent's inspection finds in the processes of a cgroup and on the devices of their network namespace, a line
// each: the agent's own code, as it looks at a pod before a move. The tests of native/criu-plugin bring it to a node.
// usage: inspection NETNS CGROUP                  (paths)
//        inspection processes NETNS CGROUP...     without the devices; each cgroup is a container's
import { RdmaDriver } from '../node/device/driver.ts';
import { ContainerLinks } from '../node/dump/container-links.ts';
import { DeviceObjects } from '../node/dump/device-objects.ts';
import { UnmovableFiles } from '../node/dump/unmovable.ts';
import { Host } from '../node/host/host.ts';

const usage = 'usage: inspection [processes] NETNS CGROUP...';
const given = process.argv.slice(2);
const isBare = given[0] === 'processes';
const [netns, ...cgroups] = isBare ? given.slice(1) : given;
if (netns === undefined || cgroups.length === 0) throw new Error(usage);

const host = new Host({ root: '/' });
const names = cgroups.length === 1 ? ['main'] : cgroups.map((_cgroup, nth) => `container-${nth}`);
const containers = cgroups.map((cgroup, nth) => ({ name: names[nth] ?? '', cgroup }));
const deviceObjects = new DeviceObjects({ host, driver: new RdmaDriver() });
if (!isBare)
  for await (const found of deviceObjects.findings(netns, containers))
    console.log(`${found.code}: ${found.message}`);
for await (const found of new UnmovableFiles(host).findings(containers))
  console.log(`${found.code}: ${found.message}`);
for await (const found of new ContainerLinks(host).findings(netns, containers))
  console.log(`${found.code}: ${found.message}`);
