/** The thread that thaws. */
import { serveEngine } from "../lib/engine-thread.ts";
import { runThaw, type ThawJob } from "./engine.ts";

serveEngine<ThawJob>({ run: runThaw });
