// SPDX-License-Identifier: Apache-2.0
export * from './agents.ts';
export * from './atoms.ts';
export * from './certificates.ts';
export * from './checkpoint-request.ts';
export * from './completion.ts';
export * from './conditions.ts';
export * from './decision.ts';
export * from './image-keys.ts';
export * from './migration-request.ts';
export * from './names.ts';
export * from './peers.ts';
export * from './placement.ts';
export { reasons } from './reasons.ts';
export type { Reason as ReasonName } from './reasons.ts';
export * from './restore-advice.ts';
export * from './restore-request.ts';
export * from './steps.ts';
export * from './timeouts.ts';
