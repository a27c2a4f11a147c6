/** What sockets are asked and told in one go: getsockopt(2), setsockopt(2), ioctl(2). */
import type { SyscallName } from "../abi/syscalls.x86_64.ts";
import { CallSeries } from "./call-series.x86_64.ts";
import { SyscallError } from "./call.ts";
import { NativeBuffer } from "./ffi.unsafe.ts";

export type SocketStep =
  | { readonly ask: "option"; readonly level: number; readonly option: number; readonly size?: number }
  | { readonly ask: "ioctl"; readonly request: number }
  | { readonly tell: "option"; readonly level: number; readonly option: number; readonly value: number };

interface Place {
  readonly name: SyscallName;
  /** Where its value lies. */
  readonly at: number;
  readonly size: number;
}

const align = (size: number): number => (size + 7) & ~7;

/** The answers are those of the last run. */
export class SocketSeries {
  readonly #places: readonly Place[];
  readonly #values: NativeBuffer;
  /** The values before a run: zeros, the room for each answer, and what is told. */
  readonly #before: Buffer;
  readonly #calls: CallSeries;

  constructor(steps: readonly SocketStep[]) {
    let end = 0;
    this.#places = steps.map((step) => {
      const [size, at] = ["ask" in step && step.ask === "option" ? (step.size ?? 4) : 4, end];
      end += align(size) + 8;
      return { name: nameOf(step), at, size };
    });
    this.#values = new NativeBuffer(Math.max(end, 1));
    this.#before = Buffer.alloc(end);
    this.#calls = new CallSeries(
      steps.map((step, i) => {
        const { name, at, size } = this.#places[i] as Place;
        const value = this.#values.address + at;
        if ("tell" in step) {
          this.#before.writeInt32LE(step.value, at);
          return [name, step.level, step.option, value, 4];
        }
        if (step.ask === "ioctl") return [name, step.request, value];
        this.#before.writeUInt32LE(size, at + align(size));
        return [name, step.level, step.option, value, value + align(size)];
      }),
    );
  }

  run(fd: number): void {
    this.#values.bytes.set(this.#before);
    this.#calls.run(fd);
  }

  /** What it was told, for all of it; throws when the kernel refused any. */
  expect(about: string): void {
    this.#places.forEach(({ name }, i) => {
      const result = name === "setsockopt" ? this.#calls.result(i) : 0;
      if (result < 0) throw new SyscallError(name, result, about);
    });
  }

  /** Undefined where this kernel or this kind of socket does not have it. It changes with the next run. */
  bytes(index: number): Buffer | undefined {
    const { at, size } = this.#places[index] as Place;
    if (this.#calls.result(index) < 0) return undefined;
    const length = this.#values.bytes.readUInt32LE(at + align(size));
    return this.#values.bytes.subarray(at, at + length);
  }

  /** As {@link bytes}, of an int. Some options answer with one byte. */
  int(index: number): number | undefined {
    if (this.#calls.result(index) < 0) return undefined;
    const { name, at, size } = this.#places[index] as Place;
    const { bytes } = this.#values;
    const length = name === "ioctl" ? 4 : bytes.readUInt32LE(at + align(size));
    if (length === 0) return undefined;
    return length >= 4 ? bytes.readInt32LE(at) : (bytes[at] as number);
  }
}

function nameOf(step: SocketStep): SyscallName {
  if ("tell" in step) return "setsockopt";
  return step.ask === "option" ? "getsockopt" : "ioctl";
}
