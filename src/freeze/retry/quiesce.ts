/** The time until a set is looked at again: the programs go on, and what they must get done is held together meanwhile. */
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";
import type { Settling } from "../../resources/freeze-context.ts";

const PAUSE_US = 2000;

/** What was begun lasts until the set has been looked at again. */
export class Quiesce implements Disposable {
  readonly #begun: Settling[] = [];

  constructor(restless: readonly (() => Settling)[]) {
    try {
      for (const begin of restless) this.#begun.push(begin());
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Returns when all has settled, or when it has been waited for long enough. */
  wait(patience: number): void {
    const deadline = performance.now() + patience;
    while (!this.#begun.every((each) => each.settled()) && performance.now() < deadline) sleepMicroseconds(PAUSE_US);
  }

  [Symbol.dispose](): void {
    for (const each of this.#begun.splice(0)) each[Symbol.dispose]();
  }
}

/** Never told to anybody: after some attempts it is frozen as it is. */
export function passing(): Refusal {
  return failures.RESTLESS();
}
