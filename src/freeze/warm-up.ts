/**
 * Doing everything once on a program that nobody misses, before anything that matters is stopped: what a process does
 * for the first time takes several times as long, and that time shall not be time that programs stand still. Nothing of
 * it outlives us: the program ends with our thread, and its image lies in memory, where no path leads.
 */
import { closeSync } from "node:fs";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { attempt, call } from "../sys/call.ts";
import { makeFileSystem } from "../sys/mount.ts";
import { SIGNAL } from "../abi/signal.ts";
import { WAIT } from "../abi/wait.ts";
import { wait4 } from "../sys/wait.ts";
import type { LocalFd } from "../lib/brand.ts";
import type { Watcher } from "../lib/watcher.ts";
import { NOTHING_OUTSIDE } from "../proc/outside.ts";
import { below } from "../image/directory.ts";
import { openPath } from "../resources/file/path-file.ts";
import { startFile } from "../tracee/tiny-program.x86_64.ts";
import { Freeze } from "./engine.ts";
import { Freezing } from "./inspect/context.ts";
import { Look } from "./inspect/look.ts";
import { StoppedSet } from "./stop/stopped-set.ts";

/** Looking is most of what is done; it takes a few times until the machine code for it has been made. */
const LOOKS = 6;

const SILENT: Watcher = { report: () => undefined, aborted: () => false };

/** Freezes a sleeping program to memory and ends it. Never fails: the real freeze says what is wrong. */
export function warmUp(): void {
  try {
    using sleeper = new Sleeper();
    for (let time = 0; time < LOOKS; time += 1) lookAt(sleeper.pid);
    const folder = makeFileSystem("tmpfs", "kmonte", ["mode=700"]);
    try {
      new Freeze({ pids: [sleeper.pid], directory: below(folder, "image"), end: "kill" }, SILENT).run();
    } finally {
      closeSync(folder);
    }
  } catch {
    // A rehearsal that does not work costs time later, and nothing else.
  }
}

class Sleeper implements Disposable {
  readonly pid: number;
  readonly #pidfd: LocalFd;

  constructor() {
    const program = openPath(OWN_VIEW.at("/bin/sleep"), 0);
    try {
      this.pid = startFile(program, ["sleep", "60"], SIGNAL.SIGKILL);
    } finally {
      closeSync(program);
    }
    this.#pidfd = call("pidfd_open", "Starting a program", this.pid, 0) as LocalFd;
  }

  /** It may have been ended, and waited for, already. */
  [Symbol.dispose](): void {
    if (attempt("pidfd_send_signal", this.#pidfd, SIGNAL.SIGKILL, 0, 0) === 0) wait4(this.pid, WAIT.WALL);
    closeSync(this.#pidfd);
  }
}

function lookAt(pid: number): void {
  using set = StoppedSet.stop([pid]);
  using context = new Freezing(set.tasks, { outside: NOTHING_OUTSIDE });
  new Look(context, set).run();
}
