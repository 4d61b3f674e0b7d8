// SPDX-License-Identifier: Apache-2.0
// Work on several addresses, of which one that fails does not keep the others from being worked on.
import { reasonOf, type Failure } from '../../support/errors.ts';

export interface AddressFailure extends Failure {
  readonly address: string;
}

export class AddressFailures {
  readonly #failures: AddressFailure[] = [];

  get list(): readonly AddressFailure[] {
    return this.#failures;
  }

  /** @returns whether the work was done for these addresses */
  async attempt(addresses: readonly string[], work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.add(addresses, error);
      return false;
    }
  }

  add(addresses: readonly string[], error: unknown): void {
    for (const address of addresses) this.#failures.push({ address, ...reasonOf(error) });
  }
}
