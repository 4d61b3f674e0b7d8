// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  coverEnvironment,
  DEVICE_DIR,
  hasRdmaCm,
  parseSpec,
  RDMA_CM,
  uverbsPath,
  wantsRdmaCm,
  withDevice,
  type OciSpec,
} from './bundle.ts';

const spec = (annotations: Record<string, string>): OciSpec =>
  parseSpec(
    JSON.stringify({
      ociVersion: '1.1.0',
      process: { args: ['x'] },
      annotations,
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
      linux: {
        namespaces: [{ type: 'network', path: '/var/run/netns/cni-1' }, { type: 'pid' }],
        resources: { devices: [{ allow: false, access: 'rwm' }], memory: { limit: 5 } },
      },
    }),
  );

describe('the config.json of a bundle', () => {
  it('gets the uverbs node at the path that it had first, whatever the minor on this node', () => {
    const node = { hostPath: '/dev/infiniband/uverbs7', major: 231, minor: 199 };
    const once = withDevice(spec({}), node, '/dev/infiniband/uverbs0');
    expect(once.mounts).toEqual([
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev/infiniband/uverbs0',
        source: '/dev/infiniband/uverbs7',
        type: 'bind',
        options: ['bind', 'nosuid', 'noexec', 'rw'],
      },
    ]);
    expect(once.linux.resources.devices).toEqual([
      { allow: false, access: 'rwm' },
      { allow: true, type: 'c', major: 231, minor: 199, access: 'rwm' },
    ]);
    expect(withDevice(once, node, '/dev/infiniband/uverbs0')).toEqual(once);
    // Fields that the agent does not know stay as they are.
    expect(once['process']).toEqual({ args: ['x'] });
    expect(once.linux.resources['memory']).toEqual({ limit: 5 });
  });

  it('keeps every number that the agent does not know', () => {
    const integers = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });
    const node = { hostPath: '/dev/infiniband/uverbs7', major: 231, minor: 199 };
    fc.assert(
      fc.property(integers, integers, integers, (hard, limit, other) => {
        const rlimits = `[{"type":"RLIMIT_MEMLOCK","hard":${hard},"soft":18446744073709551615}]`;
        const text =
          `{"process":{"rlimits":${rlimits}},"linux":{"resources":{"memory":{"limit":${limit}},` +
          `"devices":[{"allow":true,"type":"c","major":1,"minor":5,"of":[${other}]}]}}}`;
        const edited = JSON.stringify(withDevice(parseSpec(text), node, '/dev/infiniband/uverbs0'));
        expect(edited).toContain(`"rlimits":${rlimits}`);
        expect(edited).toContain(`"memory":{"limit":${limit}}`);
        expect(edited).toContain(`"of":[${other}]`);
      }),
    );
  });

  it('has the path of its uverbs node, open or not', () => {
    const node = { hostPath: `${DEVICE_DIR}/uverbs7`, major: 231, minor: 199 };
    const given = withDevice(spec({}), node, '/dev/infiniband/uverbs0');
    expect([uverbsPath(given), uverbsPath(spec({}))]).toEqual([
      '/dev/infiniband/uverbs0',
      undefined,
    ]);
  });

  it('gets the RDMA connection manager if its annotation asks for it', () => {
    const wanted = (value: string) => () => wantsRdmaCm(spec({ 'sealift.dev/rdma-cm': value }));
    expect([wantsRdmaCm(spec({})), wanted('false')(), wanted('true')()]).toEqual([
      ...[false, false, true],
    ]);
    for (const value of ['', 'yes', 'True']) {
      expect(wanted(value)).toThrow(expect.objectContaining({ code: 'BadAnnotation' }));
    }
    const cm = { hostPath: `${DEVICE_DIR}/rdma_cm`, major: 10, minor: 121 };
    const given = withDevice(spec({}), cm, RDMA_CM);
    expect([hasRdmaCm(given), uverbsPath(given), hasRdmaCm(spec({}))]).toEqual([
      ...[true, undefined, false],
    ]);
  });

  it('is refused when it is not valid', () => {
    expect(() => parseSpec('nonsense')).toThrow(expect.objectContaining({ code: 'BadBundle' }));
    expect(() => parseSpec('{}')).toThrow(expect.objectContaining({ code: 'BadBundle' }));
  });

  it('tells the CRIU plugin which paths to cover', () => {
    const covered = (linux: object) =>
      coverEnvironment(parseSpec(JSON.stringify({ ociVersion: '1.1.0', linux })));
    expect(
      covered({ maskedPaths: ['/proc/kcore', '/sys/firmware'], readonlyPaths: ['/proc/sys'] }),
    ).toEqual({
      SEALIFT_MASKED_PATHS: '/proc/kcore\n/sys/firmware',
      SEALIFT_READONLY_PATHS: '/proc/sys',
    });
    // A privileged container has none.
    expect(covered({ maskedPaths: [] })).toEqual({});
    expect(() => covered({ maskedPaths: ['/proc/a\nb'] })).toThrow('line feed');
  });
});
