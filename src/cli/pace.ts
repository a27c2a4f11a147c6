/** How long a step will last, going by what it has done so far; only of bytes, as other things take unlike times. */
import type { ProgressEvent } from "../lib/progress.ts";

/** Before that, a step's beginning counts too much. */
const SOONEST_MS = 1000;

export class Pace {
  #step = "";
  #began = 0;
  #doneThen = 0;

  /** Milliseconds until the step will be over; undefined when that cannot be told, or not yet. */
  left({ step, done, total, counted, at }: ProgressEvent): number | undefined {
    if (step !== this.#step || done === undefined || done < this.#doneThen) {
      this.#step = step;
      this.#began = at;
      this.#doneThen = done ?? 0;
      return undefined;
    }
    const taken = at - this.#began;
    const way = done - this.#doneThen;
    if (total === undefined || counted !== undefined || taken < SOONEST_MS || way <= 0 || done >= total)
      return undefined;
    return ((total - done) * taken) / way;
  }
}
