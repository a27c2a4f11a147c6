/** A machine as files: those below its root directory, with /proc and /sys. Tests look at trees that are no machine. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { orIfGone } from "../../lib/no-such-file.ts";
import { isFirstPidNamespace } from "../../proc/first-namespace.ts";
import { readdirOrEmpty } from "../../proc/read.ts";
import { defaultSwapRoot } from "../store.ts";
import { kernelRelease } from "../../lib/kernel.ts";

export class Machine {
  readonly root: string;
  /** The running kernel, as `uname -r` says it. */
  readonly running: string;
  /** Its kernel is another machine's. */
  readonly isContainer: boolean;
  /** Where images and records go. */
  readonly swapRoot: string;

  constructor(
    root = "/",
    { running = kernelRelease(), isContainer = !isFirstPidNamespace(), swapRoot = defaultSwapRoot() } = {},
  ) {
    this.root = root;
    this.running = running;
    this.isContainer = isContainer;
    this.swapRoot = swapRoot;
  }

  /** Where a file of the machine is. */
  at(path: string): string {
    return join(this.root, path);
  }

  has(path: string): boolean {
    return existsSync(this.at(path));
  }

  /** The text of a file without blanks around it; empty when it is not there, or not to be read. */
  text(path: string): string {
    return orIfGone(() => readFileSync(this.at(path), "utf8").trim(), "");
  }

  bytes(path: string): Buffer | undefined {
    return orIfGone(() => readFileSync(this.at(path)), undefined);
  }

  /** The names in a folder, sorted; none when it is not there. */
  names(path: string): string[] {
    return readdirOrEmpty(this.at(path)).sort();
  }

  /** Where a path leads, links followed, as the machine has it; undefined when that is nowhere. */
  real(path: string): string | undefined {
    const real = orIfGone(() => realpathSync(this.at(path)), undefined);
    return real === undefined || this.root === "/" ? real : real.slice(realpathSync(this.root).length);
  }

  /** When something of the file changed last, in milliseconds since the epoch: its contents, name or owner. */
  changed(path: string): number | undefined {
    return orIfGone(() => statSync(this.at(path)).ctimeMs, undefined);
  }
}
