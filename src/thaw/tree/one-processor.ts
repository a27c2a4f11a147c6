/**
 * Steps of a tracee during which nobody else runs: we and the tracee share one processor, with real-time priorities
 * (sched(7)), and the others are kept busy. What may not be had is done without.
 */
import { cpusOf, currentCpu, raisePriority, trySetAffinity } from "../../sys/affinity.ts";
import { OtherProcessors, PRIORITY } from "../../tracee/other-processors.x86_64.ts";

export interface ExclusiveProcessor {
  /** Not there where we and the tracee may not be bound to one processor: it may need another one then. */
  readonly others: OtherProcessors | undefined;
  /** Has a task that was cloned in the step run where the tracee did before. */
  readonly free: (tid: number) => void;
}

export class OneProcessor implements Disposable {
  readonly #usual = cpusOf(0);
  readonly #cpu = currentCpu();
  readonly #others: OtherProcessors;

  /** `ids` are for the threads that keep the other processors busy. */
  constructor(ids: Iterator<number, never>) {
    this.#others = new OtherProcessors(
      this.#usual.filter((cpu) => cpu !== this.#cpu),
      ids,
    );
  }

  /** Prepares us and a tracee for such steps (resumeMeanwhile), for as long as `action` takes. */
  share<T>(tid: number, action: (undisturbed: ExclusiveProcessor) => T): T {
    const theirs = cpusOf(tid);
    using stack = new DisposableStack();
    stack.defer(() => trySetAffinity(0, this.#usual));
    stack.defer(() => trySetAffinity(tid, theirs));
    const isBound = [0, tid].every((thread) => trySetAffinity(thread, [this.#cpu]) === 0);
    stack.defer(raisePriority(0, PRIORITY));
    // Whenever the tracee can run it does, and we go on when it has stopped.
    stack.defer(raisePriority(tid, PRIORITY + 1));
    return action({ others: isBound ? this.#others : undefined, free: (created) => trySetAffinity(created, theirs) });
  }

  [Symbol.dispose](): void {
    this.#others[Symbol.dispose]();
  }
}
