/** Whoever watches a piece of work that runs on a thread of its own. */
import type { ProgressEvent } from "./progress.ts";

export interface Watcher {
  report(event: Omit<ProgressEvent, "at">): void;
  /** Whether the user wants to stop; asked between pieces of work. */
  aborted(): boolean;
}
