/**
 * Doing everything once on a program that nobody misses, before anything that matters is stopped: what a process does
 * for the first time takes several times as long, and that time shall not be time that programs stand still.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Watcher } from "../lib/watcher.ts";
import { NOTHING_OUTSIDE } from "../proc/outside.ts";
import { Freeze } from "./engine.ts";
import { Look } from "./look.ts";
import { StoppedSet } from "./stop.ts";

/** Looking is most of what is done; it takes a few times until the machine code for it has been made. */
const LOOKS = 6;

const SILENT: Watcher = { report: () => undefined, aborted: () => false };

/** Freezes a sleeping program to a temporary directory and ends it. Never fails: the real freeze says what is wrong. */
export function rehearse(): void {
  let directory: string | undefined;
  const sleeper = spawn("/bin/sleep", ["60"], { stdio: "ignore", cwd: "/", env: {} });
  sleeper.on("error", () => undefined);
  try {
    directory = mkdtempSync(join(tmpdir(), "kmonte-rehearsal-"));
    if (sleeper.pid === undefined) return;
    for (let time = 0; time < LOOKS; time += 1) lookAt(sleeper.pid);
    new Freeze({ pids: [sleeper.pid], directory: join(directory, "image"), end: "kill" }, SILENT).run();
  } catch {
    // A rehearsal that does not work costs time later, and nothing else.
  } finally {
    sleeper.kill("SIGKILL");
    sleeper.unref();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function lookAt(pid: number): void {
  using set = StoppedSet.stop([pid]);
  using look = new Look(set, { outside: NOTHING_OUTSIDE });
  look.run();
}
