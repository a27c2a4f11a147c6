/** The time until a set is looked at again: the programs go on, and what they must get done is held together meanwhile. */
import { Refusal } from "../lib/errors.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";
import type { Settling } from "../resources/contract.ts";

const PAUSE_US = 2000;

/** What was begun lasts until the set has been looked at again. */
export class BetterMoment implements Disposable {
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

/** Never told to anybody: after some attempts, what is not connected yet has to try again. */
export function handshakes(): Refusal {
  return new Refusal("TCP_HANDSHAKES", {
    what: "Connections are just being made.",
    why: "Who has been answered by a listening socket believes in a connection that nobody has yet.",
    remedy: "Try again in a moment.",
  });
}
