/**
 * A mark that says "thaw this at the next boot" is true only if this kernel really ends here. Should kmonte be killed
 * between the mark and the kexec, the processes go on, and an ordinary restart days later would bring their past back.
 * So a shell waits for our end and then takes the swap back, the mark first; with the kernel's end it ends, too.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { KmonteError } from "../lib/errors.ts";

/** Its standard input is ours alone: it ends when we do, however that comes about. */
const SCRIPT = `trap "" HUP INT TERM; read -r _; mark=$1 directory=$2; shift 2
for point; do mount -o remount,rw "$point"; done; rm -f "$mark"; sync "$directory"; rm -rf "$directory"`;

export class PendingGuard implements Disposable {
  readonly #shell: ChildProcess;

  /** `disks` are mount points that may have become read-only by then. */
  constructor(mark: string, directory: string, disks: readonly string[] = []) {
    this.#shell = spawn("/bin/sh", ["-c", SCRIPT, "sh", mark, directory, ...disks], {
      stdio: ["pipe", "ignore", "ignore"],
      cwd: "/",
      detached: true,
    });
    this.#shell.on("error", () => undefined);
    this.#shell.stdin?.on("error", () => undefined);
    if (this.#shell.pid !== undefined) return;
    throw new KmonteError("SWAP_NOT_GUARDED", {
      what: "The kernel was not changed; the processes go on as they were.",
      why: "A shell that would take things back, should kmonte be killed, did not start.",
      remedy: "See that /bin/sh starts and that processes can be made (ulimit -u), and try again.",
    });
  }

  [Symbol.dispose](): void {
    this.#shell.stdin?.end();
    this.#shell.unref();
  }
}
