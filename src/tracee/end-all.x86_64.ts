/**
 * Ending a whole set of processes in one step that cannot stop halfway, even if kmonte itself is killed during it: a
 * tiny program of its own gives the image its name and sends all the signals. Before it runs, nobody has been touched;
 * once it runs, nothing of ours is needed any more.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { SyscallError, attempt } from "../sys/call.ts";
import { O } from "../abi/fcntl.ts";
import { type Identity, asUser } from "../sys/identity.ts";
import type { LocalFd } from "../lib/brand.ts";
import { SIGNAL } from "../abi/signal.ts";
import { withAllSignalsBlocked } from "../sys/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { wait4 } from "../sys/wait.ts";
import { failures } from "../errors/catalogue.ts";
import { cString, int32, JUMP, LEA, MachineCode } from "../sys/machine-code.x86_64.ts";
import { codeProgram, NOT_RUN, startProgram, withInherited } from "./tiny-program.x86_64.ts";

const START = 0x10_0000;

/** A rename(2) that must be on disk before anybody is ended. */
export interface Move {
  /** The directory whose entry changes, open: `from` and `to` lead through it, by way of /proc/self/fd. */
  readonly parent: LocalFd;
  readonly from: string;
  readonly to: string;
  /** The name of what marks the directory as unfinished, and goes when it has its name. */
  readonly unfinished: string;
  /** With whose rights it is made. */
  readonly user?: Identity | undefined;
  /** Told as soon as it has been made. */
  moved(): void;
}

/** rename, and fsync of the directory; a failure ends the program with the errno before anything else is done. */
function moveCode(code: MachineCode, { from, to, parent, user, unfinished }: Move): void {
  // The program begins with our own rights, whatever this thread has taken for the moment.
  if (user) {
    code
      .lea(LEA.RSI, Buffer.from(Uint32Array.from(user.groups).buffer))
      .emit(0xbf, ...int32(user.groups.length)) // mov edi, count
      .call(SYS.setgroups)
      .emit(0xbf, ...int32(user.gid))
      .call(SYS.setfsgid)
      .emit(0xbf, ...int32(user.uid))
      .call(SYS.setfsuid);
  }
  code
    .lea(LEA.RDI, cString(from))
    .lea(LEA.RSI, cString(to))
    .call(SYS.rename)
    .emit(0x85, 0xc0) // test eax, eax
    .jump(JUMP.IF_EQUAL, "moved")
    .emit(0xf7, 0xd8) // neg eax
    .emit(0x89, 0xc7) // mov edi, eax
    .call(SYS.exit)
    .place("moved")
    .lea(LEA.RDI, cString(`/proc/self/fd/${parent}/.`))
    .emit(0xbe, ...int32(O.O_DIRECTORY)) // mov esi, O_RDONLY|O_DIRECTORY
    .call(SYS.open)
    .emit(0x89, 0xc7) // mov edi, eax
    .call(SYS.fsync)
    .lea(LEA.RDI, cString(`${to}/${unfinished}`))
    .call(SYS.unlink);
}

/** Sends SIGKILL to each pid; there must be one: what stands behind the table would be taken for pids. */
function killCode(code: MachineCode, pids: readonly number[]): void {
  const table = Buffer.alloc(pids.length * 4);
  pids.forEach((pid, i) => table.writeInt32LE(pid, i * 4));
  code
    .lea(LEA.RBX, table)
    .emit(0xbd, ...int32(pids.length)) // mov ebp, count
    .place("kill")
    .emit(0x8b, 0x3b) // mov edi, [rbx]
    .emit(0xbe, ...int32(SIGNAL.SIGKILL)) // mov esi, SIGKILL
    .call(SYS.kill)
    .emit(0x48, 0x83, 0xc3, 0x04) // add rbx, 4
    .emit(0xff, 0xcd) // dec ebp
    .jump(JUMP.UNLESS_EQUAL, "kill");
}

const TOLD = Buffer.from("done\n");

/** Writes a line into each pipe. */
function tellCode(code: MachineCode, pipes: readonly LocalFd[]): void {
  for (const pipe of pipes) {
    code
      .emit(0xbf, ...int32(pipe)) // mov edi, pipe
      .lea(LEA.RSI, TOLD)
      .emit(0xba, ...int32(TOLD.length)) // mov edx, length
      .call(SYS.write);
  }
}

/**
 * Makes the move, if there is one, writes a line into each of the pipes `told`, and kills all of them; or throws, a
 * {@link SyscallError} when the move was refused, and has done nothing.
 */
export function endAll(pids: readonly number[], move?: Move, told: readonly LocalFd[] = []): void {
  const code = new MachineCode();
  if (move) moveCode(code, move);
  tellCode(code, told);
  if (pids.length > 0) killCode(code, pids);
  code.emit(0x31, 0xff).call(SYS.exit); // xor edi, edi
  const program = codeProgram(START, code.build());
  // A ^C at the terminal goes to all of its foreground group: the program inherits that it does not hear it.
  const status = withAllSignalsBlocked(() =>
    withInherited([...(move ? [move.parent] : []), ...told], () => {
      const pid = startProgram(program);
      return pid > 0 ? wait4(pid, 0) : undefined;
    }),
  );
  const ended = typeof status === "object" && status.state === "exited" ? status.code : undefined;
  if (ended === 0) return move?.moved();
  if (ended === NOT_RUN) return endOneByOne(pids, move, told);
  if (ended !== undefined && move) throw new SyscallError("rename", -ended, `Giving ${move.to} its name`);
  throw failures.END_FAILED();
}

/** Where programs cannot be run from memory. */
function endOneByOne(pids: readonly number[], move: Move | undefined, told: readonly LocalFd[]): void {
  if (move) {
    asUser(move.user, () => renameSync(move.from, move.to));
    move.moved();
    asUser(move.user, () => rmSync(`${move.to}/${move.unfinished}`, { force: true }));
    const parent = openSync(`/proc/self/fd/${move.parent}/.`, "r");
    try {
      fsyncSync(parent);
    } finally {
      closeSync(parent);
    }
  }
  for (const pipe of told) writeSync(pipe, TOLD);
  for (const target of pids) attempt("kill", target, SIGNAL.SIGKILL);
}
