/** What a shell does at our end, however that comes about: it waits at a pipe whose other end is ours alone. */
import { spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import type { LocalFd } from "../lib/brand.ts";
import { failures } from "../errors/catalogue.ts";
import { makePipe } from "../resources/pipe/data.ts";

/**
 * A line says that nothing is to be done any more. What is sent to our terminal is not for the shell. A container that
 * ends with us does so process by process: within the second, the shell has gone with it.
 */
const WAIT = 'trap "" HUP INT TERM; read -r _ && exit; sleep 1';

export class AtOurEnd implements Disposable {
  #pipe: LocalFd | undefined;

  /** `script` is what is done, for sh(1), with `args` as $1 and so on. Throws when no shell can be started. */
  constructor(script: string, args: readonly string[]) {
    const [read, write] = makePipe(0);
    this.#pipe = write;
    // Detached: what ends kmonte must not end it.
    const shell = spawn("/bin/sh", ["-c", `${WAIT}\n${script}`, "sh", ...args], {
      stdio: [read, "ignore", "ignore"],
      cwd: "/",
      detached: true,
    });
    shell.on("error", () => undefined);
    shell.unref();
    closeSync(read);
    if (shell.pid !== undefined) return;
    this[Symbol.dispose]();
    throw failures.SWAP_NOT_GUARDED();
  }

  /** Nothing is to be done at our end any more. */
  [Symbol.dispose](): void {
    if (this.#pipe === undefined) return;
    try {
      writeSync(this.#pipe, "done\n");
    } catch {
      // The shell has been ended by somebody.
    }
    closeSync(this.#pipe);
    this.#pipe = undefined;
  }
}
