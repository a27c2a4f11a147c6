/** What the clients outside the guest share: they work until their input ends, then say in one line what they saw. */

export interface ClientResult {
  readonly ok: boolean;
  /** What was done, or what went wrong. */
  readonly detail: string;
  /** The longest time without an answer, in seconds. */
  readonly longestPause: number;
}

/** Notes when something arrives, and remembers the longest time in which nothing did. */
export class Pauses {
  #last: number | undefined;
  #longest = 0;

  get longest(): number {
    return this.#longest;
  }

  /** The connection is there, and what is asked for comes: from here on pauses count. Said to whoever started us. */
  begin(): void {
    this.#last = performance.now();
    process.stderr.write("at work\n");
  }

  arrived(): void {
    if (this.#last === undefined) return;
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }
}

/** Whether the one who started us wants to hear the result by now: our input has ended. */
export function watchInput(): { readonly ended: boolean } {
  const input = { ended: false };
  process.stdin.on("end", () => (input.ended = true)).resume();
  return input;
}

/** Runs a client to its end and says what it saw. */
export async function report(pauses: Pauses, work: () => Promise<string>): Promise<void> {
  let result: Omit<ClientResult, "longestPause">;
  try {
    result = { ok: true, detail: await work() };
  } catch (error) {
    result = { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
  process.stdout.write(`${JSON.stringify({ ...result, longestPause: pauses.longest / 1000 })}\n`, () => process.exit());
}
