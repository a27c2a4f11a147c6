/** What a kind of resource remembers for the time of one freeze or one thaw: its context keeps it (`context.memo`). */

/** Names a thing to remember, and makes it when it is asked for first. Compared by identity: one for each use. */
export class Memo<T, C = unknown> {
  readonly make: (context: C) => T;

  constructor(make: (context: C) => T) {
    this.make = make;
  }
}

/** The memory of one run. */
export class Memory<C> {
  readonly #known = new Map<unknown, unknown>();

  get<T>(memo: Memo<T, C>, context: C): T {
    if (!this.#known.has(memo)) this.#known.set(memo, memo.make(context));
    return this.#known.get(memo) as T;
  }
}
