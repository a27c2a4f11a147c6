/**
 * Ending a whole set of processes in one step that cannot stop halfway, even if kmonte itself is killed during it: a
 * tiny program of its own gives the image its name and sends all the signals. Before it runs, nobody has been touched;
 * once it runs, nothing of ours is needed any more.
 */
import { closeSync, fsyncSync, openSync, renameSync } from "node:fs";
import { attempt, call, SyscallError } from "../abi/call.ts";
import { F, O } from "../abi/fcntl.ts";
import { asUser, type Identity } from "../abi/identity.ts";
import type { LocalFd } from "../lib/brand.ts";
import { SIGNAL, withAllSignalsBlocked } from "../abi/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { wait4 } from "../abi/wait.ts";
import { KmonteError } from "../lib/errors.ts";
import { buildProgram, headerBytes, PF_R, PF_X, startProgram } from "./tiny-program.x86_64.ts";

const START = 0x10_0000;

/** A rename(2) that must be on disk before anybody is ended. */
export interface Move {
  /** The directory whose entry changes, open: `from` and `to` lead through it, by way of /proc/self/fd. */
  readonly parent: LocalFd;
  readonly from: string;
  readonly to: string;
  /** With whose rights it is made. */
  readonly user?: Identity | undefined;
  /** Told as soon as it has been made. */
  moved(): void;
}

/** Position-independent code, whose data follows it. */
class Code {
  readonly #bytes: number[] = [];
  readonly #wanted: { at: number; offset: number }[] = [];
  #data = Buffer.alloc(0);

  emit(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** `lea REGISTER, [rip + data]`: `opcode` is the instruction without its displacement. */
  lea(opcode: readonly number[], data: Buffer): this {
    this.emit(...opcode);
    this.#wanted.push({ at: this.#bytes.length, offset: this.#data.length });
    this.#data = Buffer.concat([this.#data, data]);
    return this.emit(0, 0, 0, 0);
  }

  /** `mov eax, number; syscall`. */
  call(number: number): this {
    return this.emit(0xb8, number & 0xff, number >> 8, 0, 0, 0x0f, 0x05);
  }

  build(): Buffer {
    const code = Buffer.from(this.#bytes);
    for (const { at, offset } of this.#wanted) code.writeInt32LE(code.length + offset - (at + 4), at);
    return Buffer.concat([code, this.#data]);
  }
}

const LEA_RDI = [0x48, 0x8d, 0x3d];
const LEA_RSI = [0x48, 0x8d, 0x35];
const LEA_RBX = [0x48, 0x8d, 0x1d];
const text = (path: string): Buffer => Buffer.from(`${path}\0`);
const int32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];

/** rename, and fsync of the directory; a failure ends the program with the errno before anything else is done. */
function moveCode(code: Code, { from, to, parent, user }: Move): void {
  // The program begins with our own rights, whatever this thread has taken for the moment.
  if (user) {
    code
      .lea(LEA_RSI, Buffer.from(Uint32Array.from(user.groups).buffer))
      .emit(0xbf, ...int32(user.groups.length)) // mov edi, count
      .call(SYS.setgroups)
      .emit(0xbf, ...int32(user.gid))
      .call(SYS.setfsgid)
      .emit(0xbf, ...int32(user.uid))
      .call(SYS.setfsuid);
  }
  code
    .lea(LEA_RDI, text(from))
    .lea(LEA_RSI, text(to))
    .call(SYS.rename)
    .emit(0x85, 0xc0) // test eax, eax
    .emit(0x74, 0x0b) // jz over the exit
    .emit(0xf7, 0xd8) // neg eax
    .emit(0x89, 0xc7) // mov edi, eax
    .call(SYS.exit)
    .lea(LEA_RDI, text(`/proc/self/fd/${parent}/.`))
    .emit(0xbe, ...int32(O.O_DIRECTORY)) // mov esi, O_RDONLY|O_DIRECTORY
    .call(SYS.open)
    .emit(0x89, 0xc7) // mov edi, eax
    .call(SYS.fsync);
}

/** Sends SIGKILL to each pid; there must be one: what stands behind the table would be taken for pids. */
function killCode(code: Code, pids: readonly number[]): void {
  const table = Buffer.alloc(pids.length * 4);
  pids.forEach((pid, i) => table.writeInt32LE(pid, i * 4));
  code
    .lea(LEA_RBX, table)
    .emit(0xbd, ...int32(pids.length)) // mov ebp, count
    .emit(0x8b, 0x3b) // again: mov edi, [rbx]
    .emit(0xbe, ...int32(SIGNAL.SIGKILL)) // mov esi, SIGKILL
    .call(SYS.kill)
    .emit(0x48, 0x83, 0xc3, 0x04) // add rbx, 4
    .emit(0xff, 0xcd) // dec ebp
    .emit(0x75, 0xea); // jnz again
}

/**
 * Makes the move, if there is one, and kills all of them; or throws, a {@link SyscallError} when the move was refused,
 * and has done neither.
 */
export function endAll(pids: readonly number[], move?: Move): void {
  const code = new Code();
  if (move) moveCode(code, move);
  if (pids.length > 0) killCode(code, pids);
  code.emit(0x31, 0xff).call(SYS.exit); // xor edi, edi
  const bytes = code.build();
  const program = buildProgram(START, bytes, [
    { flags: PF_R | PF_X, address: START, fileSize: headerBytes(1) + bytes.length },
  ]);
  // A ^C at the terminal goes to all of its foreground group: the program inherits that it does not hear it.
  const status = withAllSignalsBlocked(() =>
    inherited(move?.parent, () => {
      const pid = startProgram(program);
      return pid > 0 ? wait4(pid, 0) : undefined;
    }),
  );
  const ended = typeof status === "object" && status.state === "exited" ? status.code : undefined;
  if (ended === 0) return move?.moved();
  if (ended === NOT_RUN) return endOneByOne(pids, move);
  if (ended !== undefined && move) throw new SyscallError("rename", -ended, `Giving ${move.to} its name`);
  throw new KmonteError("END_FAILED", {
    what: "The frozen processes could not be ended.",
    why: "The small program that ends them did not run.",
    remedy: "End them by hand before the thaw.",
  });
}

/** Runs `action` while a descriptor is one that new programs get too. */
function inherited<T>(fd: LocalFd | undefined, action: () => T): T {
  if (fd === undefined) return action();
  call("fcntl", "Lending a directory", fd, F.F_SETFD, 0);
  try {
    return action();
  } finally {
    // Nothing may be thrown any more: it would be taken for an end that did not come about.
    attempt("fcntl", fd, F.F_SETFD, FD_CLOEXEC);
  }
}

const FD_CLOEXEC = 1;

/** How a child says that it could not become the program. */
const NOT_RUN = 127;

/** Where programs cannot be run from memory. */
function endOneByOne(pids: readonly number[], move: Move | undefined): void {
  if (move) {
    asUser(move.user, () => renameSync(move.from, move.to));
    move.moved();
    const parent = openSync(`/proc/self/fd/${move.parent}/.`, "r");
    try {
      fsyncSync(parent);
    } finally {
      closeSync(parent);
    }
  }
  for (const target of pids) attempt("kill", target, SIGNAL.SIGKILL);
}
