/** Thawing, for those who use kmonte as a library. */
import type { Identity } from "../sys/identity.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { validRequest, thawRequest, type ThawRequest } from "../lib/requests.ts";
import { startEngine } from "../sys/engine-here.ts";
import type { ThawJob, ThawOutcome } from "./engine.ts";
import type { ThawRequests } from "./worker.ts";

export interface ThawOptions extends ThawRequest {
  /** What must have happened before the surroundings are looked at; the image is verified meanwhile. */
  readonly after?: Promise<void>;
  /** The ordinary user on whose behalf it is done (src/daemon). */
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
  const { after, user, onProgress, signal, ...request } = options;
  const job: ThawJob = { ...validRequest(thawRequest, request), user };
  const engine = startEngine<ThawRequests>("thaw/worker", onProgress);
  try {
    if (after) await Promise.all([engine.ask("verify", job, signal), after]);
    return await engine.ask("run", job, signal);
  } finally {
    await engine.end();
  }
}
