// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { isOtherImage, pinImage } from './container-images.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const sha512 = `sha512:${'a'.repeat(128)}`;

describe('an image is pinned', () => {
  it.each<[string, string]>([
    ['busybox', 'docker.io/library/busybox'],
    ['busybox:1.36', 'docker.io/library/busybox'],
    ['docker.io/busybox:1.36', 'docker.io/library/busybox'],
    ['index.docker.io/busybox:1.36', 'docker.io/library/busybox'],
    ['index.docker.io/library/busybox:1.36', 'docker.io/library/busybox'],
    ['library/busybox:1.36', 'docker.io/library/busybox'],
    ['docker.io/library/busybox:1.36', 'index.docker.io/library/busybox'],
    ['bitnami/redis:7', 'docker.io/bitnami/redis'],
    ['index.docker.io/bitnami/redis', 'docker.io/bitnami/redis'],
    ['localhost/app:v1', 'localhost/app'],
    ['registry:5000/app', 'registry:5000/app'],
    ['registry:5000/app:v1', 'registry:5000/app'],
    ['Registry/app:v1', 'Registry/app'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36'],
  ])('%s, which runs from %s', (image, running) => {
    expect(pinImage(image, `${running}@${digest}`)).toBe(`${image}@${digest}`);
  });

  it.each<[string, string | undefined]>([
    ['busybox:1.36', undefined],
    ['busybox:1.36', ''],
    ['busybox:1.36', digest],
    ['busybox:1.36', `docker.io/library/busybox@${sha512}`],
    ['busybox:1.36', 'docker.io/library/busybox@sha256:short'],
    ['busybox:1.36', `mirror.example.com/library/busybox@${digest}`],
    ['busybox:1.36', `docker.io/bitnami/busybox@${digest}`],
    ['registry/app:v1', `registry/app@${digest}`.replace('registry', 'registry.example.com')],
    ['localhost:5000/app', `localhost/app@${digest}`],
    [`busybox@${digest}`, `docker.io/library/busybox@sha256:${'b'.repeat(64)}`],
    [`busybox@${sha512}`, `docker.io/library/busybox@${digest}`],
  ])('not: %s, which runs from %s', (image, running) => {
    expect(pinImage(image, running)).toBe(image);
  });
});

it('an image without a tag is the latest', () => {
  expect(isOtherImage('app', 'docker.io/library/app:latest', undefined)).toBe(false);
  expect(isOtherImage('app:v1', 'app', undefined)).toBe(true);
  expect(isOtherImage(`app@${sha512}`, `app@${sha512}`, '')).toBe(false);
  expect(isOtherImage(`app@${sha512}`, `app@${digest}`, '')).toBe(true);
  expect(isOtherImage(undefined, 'app', '')).toBe(false);
});
