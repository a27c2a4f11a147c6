/** A tracee's memory through /proc/PID/mem (proc_pid_mem(5)), which reads and writes past page protections. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { procPath } from "../sys/task.ts";
import { asOurselves } from "../sys/identity.ts";
import type { RemoteAddress, Task } from "../lib/brand.ts";
import { failures } from "../errors/catalogue.ts";

export class TraceeMemory implements Disposable {
  readonly #task: Task;
  readonly #fd: number;

  constructor(task: Task) {
    this.#task = task;
    this.#fd = asOurselves(() => openSync(procPath(task, "mem"), "r+"));
  }

  /** Reads exactly `length` bytes. */
  read(address: RemoteAddress, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    this.#whole("reading", address, length, (done) => readSync(this.#fd, bytes, done, length - done, address + done));
    return bytes;
  }

  /** Writes all of `bytes`, also where the page is mapped read-only: the tracee gets its own copy of the page. */
  write(address: RemoteAddress, bytes: Buffer): void {
    this.#whole("writing", address, bytes.length, (done) =>
      writeSync(this.#fd, bytes, done, bytes.length - done, address + done),
    );
  }

  #whole(doing: string, address: number, length: number, step: (done: number) => number): void {
    let done = 0;
    while (done < length) {
      let moved = 0;
      try {
        moved = step(done);
      } catch (cause) {
        throw failures.TRACEE_MEMORY.access({
          pid: this.#task,
          doing,
          length,
          address: `0x${address.toString(16)}`,
          errno: (cause as NodeJS.ErrnoException).code,
          cause,
        });
      }
      if (moved === 0) throw failures.TRACEE_MEMORY.gone({ pid: this.#task });
      done += moved;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
