// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  isSealiftsDriver,
  loadDriver,
  loadInfiniBand,
  requireDriver,
  type Kernel,
} from './driver.ts';

describe('InfiniBand', () => {
  const asked = async (isLoaded: boolean): Promise<string[]> => {
    const commands: string[] = [];
    const check = async (program: string, args: readonly string[]): Promise<string> => {
      commands.push([program, ...args].join(' '));
      return '';
    };
    await loadInfiniBand({ check }, (name) => isLoaded && name === 'ib_core');
    return commands;
  };

  it('is loaded in exclusive mode where nobody has loaded it', async () => {
    expect(await asked(false)).toEqual(['modprobe ib_core netns_mode=0']);
  });

  it('stays as it is where somebody has', async () => {
    expect(await asked(true)).toEqual([]);
  });
});

describe('the driver', () => {
  let modulesDir = '';
  let did: string[];
  beforeEach(async () => {
    did = [];
    modulesDir = await mkdtemp(join(tmpdir(), 'modules-'));
    await mkdir(join(modulesDir, '6.12.1-test'));
    await writeFile(join(modulesDir, '6.12.1-test', 'rdma_rxe.ko'), '');
  });
  afterEach(() => rm(modulesDir, { recursive: true }));

  /** A kernel, by default with nothing loaded. Its own driver has no ABI of Sealift's. */
  const kernel = (
    o: {
      release?: string;
      stock?: boolean;
      /** Sealift's own, of another ABI. */
      older?: boolean;
      shared?: boolean;
      devices?: string[];
      refuses?: string;
    } = {},
  ) => {
    let driver = o.stock ? 'stock' : o.older ? 'older' : 'none';
    const of: Kernel = {
      kernelRelease: () => o.release ?? '6.12.1-test',
      moduleLoaded: () => driver !== 'none',
      finitModule: async () => {
        did.push('finit');
        if (o.refuses) throw Object.assign(new Error(`${o.refuses}`), { code: o.refuses });
        driver = 'sealift';
      },
      deleteModule: async () => {
        did.push('delete');
        driver = 'none';
      },
      rdmaDevices: async () => (o.devices ?? []).map((name) => ({ name }) as never),
    };
    const host = {
      check: async (program: string, args: readonly string[]) => {
        did.push([program, ...args].join(' '));
        return '';
      },
      run: async (program: string, args: readonly string[]) => {
        did.push([program, ...args].join(' '));
        return { status: 0, stdout: '', stderr: '' };
      },
    };
    const load = () =>
      loadDriver(
        {
          ...{ host, modulesDir, isOwn: () => driver === 'older' },
          isShared: async () => o.shared ?? false,
        },
        of,
        async () => (driver === 'sealift' ? 'rxe-7' : undefined),
      );
    return { of, load };
  };
  const modprobe = 'modprobe --all ib_uverbs rdma_ucm udp_tunnel ip6_udp_tunnel';

  it('is loaded where there is none', async () => {
    expect(await kernel().load()).toEqual({ abi: 'rxe-7', replacedDriver: false });
    expect(did).toEqual([modprobe, 'finit']);
  });

  it('takes the place of the distribution’s that nobody uses', async () => {
    const devices = ['sealift-probe-4026531840'];
    expect(await kernel({ stock: true, devices }).load()).toMatchObject({ replacedDriver: true });
    expect(did).toEqual([modprobe, 'delete', 'finit']);
  });

  it('leaves the distribution’s where there is a device of it, also one that nobody has open', async () => {
    await expect(kernel({ stock: true, devices: ['rxe0'] }).load()).rejects.toMatchObject({
      code: 'DriverMissing',
      message: expect.stringContaining('RDMA device rxe0 is there') as string,
    });
    expect(did).toEqual([modprobe]);
  });

  it('loads nothing on a node of another kernel, not InfiniBand either', async () => {
    const other = kernel({ release: '5.10.0-other' });
    await expect(requireDriver(modulesDir, other.of)).rejects.toMatchObject({
      code: 'DriverMissing',
      message: expect.stringContaining('kernel 5.10.0-other (it has 6.12.1-test)') as string,
    });
    await expect(other.load()).rejects.toThrow('5.10.0-other');
    expect(did).toEqual([]);
    await requireDriver(modulesDir, kernel().of);
    // By hand.
    await requireDriver(modulesDir, kernel({ release: '5.10.0-other', stock: true }).of);
  });

  it.each(['EPERM', 'EKEYREJECTED', 'ENOKEY'])(
    'says what to do where the kernel takes signed modules only (%s)',
    async (refuses) => {
      await expect(kernel({ refuses }).load()).rejects.toMatchObject({
        code: 'DriverMissing',
        message: expect.stringContaining('Secure Boot') as string,
      });
    },
  );

  it('takes the place of an older one of Sealift’s that nobody uses, which does not come back at the uninstall', async () => {
    expect(await kernel({ older: true }).load()).toEqual({ abi: 'rxe-7', replacedDriver: false });
    expect(did).toEqual([modprobe, 'delete', 'finit']);
  });

  it('leaves an older one of Sealift’s to the pods that use it: their devices are not to be deleted', async () => {
    const load = kernel({ older: true, devices: ['rxe0123456789'] }).load();
    await expect(load).rejects.toMatchObject({
      code: 'DriverOutdated',
      message: expect.stringMatching(/rxe0123456789.*kubectl drain.*reboot/) as string,
    });
    await expect(load).rejects.not.toThrow('rdma link delete');
    expect(did).toEqual([modprobe]);
  });

  it.each([
    ['older', 'DriverOutdated'],
    ['stock', 'DriverMissing'],
  ])('leaves an %s one in a kernel of several nodes', async (kind, code) => {
    const load = kernel({ [kind]: true, shared: true }).load();
    await expect(load).rejects.toMatchObject({
      code,
      message: expect.stringContaining('shares its kernel') as string,
    });
    expect(did).toEqual([]);
  });

  it('is known as Sealift’s by the note of this boot, or by its parameter', async () => {
    expect(isSealiftsDriver([], modulesDir)).toBe(false);
    expect(isSealiftsDriver(['rdma_rxe'], modulesDir)).toBe(true);
    await mkdir(join(modulesDir, 'module/rdma_rxe/parameters'), { recursive: true });
    expect(isSealiftsDriver([], modulesDir)).toBe(false);
    await writeFile(join(modulesDir, 'module/rdma_rxe/parameters/fault'), '');
    expect(isSealiftsDriver([], modulesDir)).toBe(true);
  });

  it('comes back as the distribution’s if the kernel refuses Sealift’s', async () => {
    await expect(kernel({ stock: true, refuses: 'ENOEXEC' }).load()).rejects.toThrow('log');
    expect(did).toEqual([modprobe, 'delete', 'finit', 'modprobe rdma_rxe']);
  });
});
