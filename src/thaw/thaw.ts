/** Thawing, for those who use kmonte as a library. */
import type { Identity } from "../abi/identity.ts";
import { EngineThread } from "../lib/engine-thread.ts";
import type { ProgressListener } from "../lib/progress.ts";
import type { ThawJob, ThawOutcome } from "./engine.ts";

export interface ThawOptions {
  /** The image: a directory that freeze has written. It stays, with a mark on it that says that it was thawed. */
  readonly directory: string;
  /**
   * Takes an image whoever wrote it. An image can become any process with any rights: only for those who know that
   * nobody else could have written or changed it.
   */
  readonly unsigned?: boolean;
  /** Takes an image that has been thawed already: its processes go back to the moment of the freeze. */
  readonly again?: boolean;
  /**
   * The program goes on in the session and terminal of this process, which becomes its parent and must wait for it.
   */
  readonly shell?: boolean;
  /** Takes an image though this processor lacks features of the one that it comes from: programs that use them fail. */
  readonly otherProcessor?: boolean;
  /**
   * Removes what the image holds when the processes have been seen running: memory has secrets. A mark stays, with which
   * it goes on refusing to be thawed a second time.
   */
  readonly remove?: boolean;
  /** Key files that an encrypted image is opened with, beside the machine's own encryption key. */
  readonly identities?: readonly string[] | undefined;
  /** What must have happened before the surroundings are looked at; the image is verified meanwhile. */
  readonly after?: Promise<void>;
  /** Keys themselves, as their files have them. */
  readonly keys?: readonly string[] | undefined;
  /** The ordinary user on whose behalf it is done (src/door). */
  readonly user?: Identity | undefined;
  readonly onProgress?: ProgressListener;
  /** Aborting takes back whatever was made so far. */
  readonly signal?: AbortSignal;
}

export type ThawReport = ThawOutcome;

/**
 * Brings the processes of an image back under their own ids, children of init, and lets them go on. All or nothing:
 * when it throws, no process is left, and the image is as it was.
 */
export async function thaw(options: ThawOptions): Promise<ThawReport> {
  const engine = new EngineThread("thaw/worker", options.onProgress);
  const job: ThawJob = {
    directory: options.directory,
    unsigned: options.unsigned === true,
    again: options.again === true,
    shell: options.shell === true,
    otherProcessor: options.otherProcessor === true,
    remove: options.remove === true,
    identities: options.identities,
    keys: options.keys,
    user: options.user,
  };
  try {
    if (options.after) await Promise.all([engine.ask("verify", job, options.signal), options.after]);
    return await engine.ask<ThawOutcome>("run", job, options.signal);
  } finally {
    await engine.end();
  }
}
