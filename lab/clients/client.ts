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
  #last = performance.now();
  longest = 0;

  arrived(): void {
    const now = performance.now();
    this.longest = Math.max(this.longest, now - this.#last);
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
