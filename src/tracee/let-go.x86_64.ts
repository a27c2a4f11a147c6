/**
 * Letting a whole set of processes go on in one step, even if kmonte is killed during it. Until then each of them dies
 * with us (PTRACE_O_EXITKILL), and that is given up process by process. So a guardian, a tiny program that needs nothing
 * of ours, waits from before the first is given up: for our word that all have been, or for our end. With the word, it
 * writes down that they live, by a rename(2), and only then are they let go; at our end without it, it ends them all.
 */
import { closeSync } from "node:fs";
import { SyscallError, attempt, call, withStruct } from "../sys/call.ts";
import { errnoName } from "../abi/errno.ts";
import { nativeFunction } from "../sys/ffi.unsafe.ts";
import { PTRACE, PTRACE_O } from "../abi/ptrace.ts";
import { SIGNAL, SIGSET_SIZE } from "../abi/signal.ts";
import { withAllSignalsBlocked } from "../sys/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { wait4 } from "../sys/wait.ts";
import type { LocalFd } from "../lib/brand.ts";
import { failures } from "../errors/catalogue.ts";
import { cString, int32, JUMP, LEA, MachineCode } from "../sys/machine-code.x86_64.ts";
import { codeProgram, startProgram, withInherited } from "./tiny-program.x86_64.ts";

const START = 0x10_0000;
/** Of two signals that wait, the kernel gives the one of the lower number first (signal(7)): the word counts. */
const WORD = SIGNAL.SIGUSR1;
const OUR_END = SIGNAL.SIGUSR2;

/** Where it is written down that the processes live. */
export interface Entry {
  /** The folder, open. */
  readonly folder: LocalFd;
  /** The name of the entry before, and after all have been let go. */
  readonly before: string;
  readonly after: string;
  /** A lock (flock(2)) on the entry, which the guardian holds as well. */
  readonly lock: LocalFd;
}

function guardianCode(pidfds: readonly number[], { folder, before, after }: Entry): Buffer {
  const signals = Buffer.alloc(SIGSET_SIZE);
  signals.writeBigUInt64LE((1n << BigInt(WORD - 1)) | (1n << BigInt(OUR_END - 1)));
  const table = Buffer.alloc(pidfds.length * 4);
  pidfds.forEach((fd, i) => table.writeInt32LE(fd, i * 4));
  return (
    new MachineCode()
      // What is sent to our process group and terminal is not for it.
      .call(SYS.setsid)
      .place("wait")
      .lea(LEA.RDI, signals)
      .emit(0x31, 0xf6, 0x31, 0xd2) // xor esi, esi; xor edx, edx
      .emit(0x41, 0xba, ...int32(SIGSET_SIZE)) // mov r10d, size
      .call(SYS.rt_sigtimedwait)
      .emit(0x83, 0xf8, WORD) // cmp eax, WORD
      .jump(JUMP.IF_EQUAL, "live")
      .emit(0x83, 0xf8, OUR_END) // cmp eax, OUR_END
      .jump(JUMP.UNLESS_EQUAL, "wait")
      .lea(LEA.RBX, table)
      .emit(0xbd, ...int32(pidfds.length)) // mov ebp, count
      .place("kill")
      .emit(0x85, 0xed) // test ebp, ebp
      .jump(JUMP.IF_EQUAL, "killed")
      .emit(0x8b, 0x3b) // mov edi, [rbx]
      .emit(0xbe, ...int32(SIGNAL.SIGKILL)) // mov esi, SIGKILL
      .emit(0x31, 0xd2) // xor edx, edx
      .emit(0x45, 0x31, 0xd2) // xor r10d, r10d
      .call(SYS.pidfd_send_signal)
      .emit(0x48, 0x83, 0xc3, 0x04) // add rbx, 4
      .emit(0xff, 0xcd) // dec ebp
      .jump(JUMP.ALWAYS, "kill")
      .place("killed")
      .emit(0xbf, ...int32(folder)) // mov edi, folder
      .lea(LEA.RSI, cString(before))
      .emit(0x31, 0xd2) // xor edx, edx
      .call(SYS.unlinkat)
      .emit(0x31, 0xff) // xor edi, edi
      .call(SYS.exit)
      .place("live")
      .emit(0xbf, ...int32(folder)) // mov edi, folder
      .lea(LEA.RSI, cString(before))
      .emit(0xba, ...int32(folder)) // mov edx, folder
      .lea(LEA_R10, cString(after))
      .call(SYS.renameat)
      .emit(0xf7, 0xd8) // neg eax
      .emit(0x89, 0xc7) // mov edi, eax
      .call(SYS.exit)
      .build()
  );
}

const LEA_R10 = [0x4c, 0x8d, 0x15];

/**
 * `let_go(tids, count, guardian)`: PTRACE_SETOPTIONS without PTRACE_O_EXITKILL for each, and the word. In one go: were
 * we killed in between, those given up already would run for as long as the guardian needs to hear of it. Answers 0 or
 * the negated errno of the first request that failed, and then the word has not been given.
 */
const LET_GO = new MachineCode()
  .emit(0x53, 0x55, 0x41, 0x54) // push rbx; push rbp; push r12
  .emit(0x48, 0x89, 0xfb) // mov rbx, rdi
  .emit(0x89, 0xf5) // mov ebp, esi
  .emit(0x41, 0x89, 0xd4) // mov r12d, edx
  .place("next")
  .emit(0x85, 0xed) // test ebp, ebp
  .jump(JUMP.IF_EQUAL, "word")
  .emit(0xbf, ...int32(PTRACE.SETOPTIONS)) // mov edi, PTRACE_SETOPTIONS
  .emit(0x8b, 0x33) // mov esi, [rbx]
  .emit(0x31, 0xd2) // xor edx, edx
  .emit(0x41, 0xba, ...int32(PTRACE_O.TRACESYSGOOD)) // mov r10d, options
  .call(SYS.ptrace)
  .emit(0x85, 0xc0) // test eax, eax
  .jump(JUMP.UNLESS_EQUAL, "end")
  .emit(0x48, 0x83, 0xc3, 0x04) // add rbx, 4
  .emit(0xff, 0xcd) // dec ebp
  .jump(JUMP.ALWAYS, "next")
  .place("word")
  .emit(0x44, 0x89, 0xe7) // mov edi, r12d
  .emit(0xbe, ...int32(WORD)) // mov esi, WORD
  .call(SYS.kill)
  .place("end")
  .emit(0x41, 0x5c, 0x5d, 0x5b, 0xc3) // pop r12; pop rbp; pop rbx; ret
  .build();
let letGo: ReturnType<typeof nativeFunction> | undefined;

/** Stands ready to end a set of stopped processes at our end, until it has been told that all have been let go. */
export class Guardian implements Disposable {
  #pid: number;

  /** Throws a `KmonteError` when it cannot be started; nothing has happened to anybody then. */
  constructor(pids: readonly number[], entry: Entry) {
    const pidfds: LocalFd[] = [];
    try {
      for (const pid of pids) pidfds.push(call("pidfd_open", `Opening process ${pid}`, pid, 0) as LocalFd);
      const program = codeProgram(START, guardianCode(pidfds, entry));
      // Loaded before anybody depends on it.
      letGo ??= nativeFunction("let_go", LET_GO, 3);
      this.#pid = withAllSignalsBlocked(() =>
        withInherited([...pidfds, entry.folder, entry.lock], () => startProgram(program, OUR_END)),
      );
    } finally {
      for (const fd of pidfds) closeSync(fd);
    }
    if (this.#pid < 0)
      throw failures.NOT_RELEASED({
        why: `A small program that watches over it did not start (${errnoName(this.#pid)}).`,
      });
  }

  /**
   * Gives up that the processes die with us, and writes down that they live; `tids` are all that are still traced with
   * PTRACE_O_EXITKILL. When it throws, none has gone on, and whoever calls it must end them all.
   */
  release(tids: readonly number[]): void {
    const result = withStruct(tids.length * 4, (bytes, address) => {
      tids.forEach((tid, i) => bytes.writeInt32LE(tid, i * 4));
      return letGo?.(address, tids.length, this.#pid) ?? 0;
    });
    if (result < 0) throw new SyscallError("ptrace(PTRACE_SETOPTIONS)", result, "Letting the processes go on");
    const status = wait4(this.#pid, 0);
    this.#pid = 0;
    if (typeof status === "object" && status.state === "exited" && status.code === 0) return;
    const failed = typeof status === "object" && status.state === "exited";
    throw failures.NOT_RELEASED({
      why: failed
        ? `Writing down that they live answered ${errnoName(-status.code)}.`
        : "Something outside killed the small program that watches over it.",
    });
  }

  /** Sends it away, where it is still there. */
  [Symbol.dispose](): void {
    if (this.#pid <= 0) return;
    attempt("kill", this.#pid, SIGNAL.SIGKILL);
    wait4(this.#pid, 0);
    this.#pid = 0;
  }
}
