/** Remote calls inside a process that is being built: fast, with pages of ours, and killed with us. */
import { SyscallError } from "../sys/call.ts";
import { CLONE_ARGS_SIZE, type CloneArgs, encodeCloneArgs } from "../abi/clone.ts";
import { RESTART } from "../abi/errno.ts";
import { PTRACE_EVENT } from "../abi/ptrace.ts";
import { PR } from "../abi/prctl.ts";
import { Registers } from "../abi/registers.x86_64.ts";
import { SIGNAL } from "../abi/signal.ts";
import { SYS, type SyscallName } from "../abi/syscalls.x86_64.ts";
import type { RemoteAddress } from "../lib/brand.ts";
import type { CallArea } from "./blank.x86_64.ts";
import { decodeTable, encodeTable, ROW_SIZE } from "./call-table.x86_64.ts";
import type { TraceeMemory } from "./memory.ts";
import { getEventMessage, getRegisters, interrupt, resume, setRegisters, setSignalMask } from "./ptrace.ts";
import { type Meanwhile, resumeMeanwhile } from "./resume-meanwhile.x86_64.ts";
import { RemoteScope, SCRATCH_SIZE, type Row } from "./scope.ts";
import { type Stop, TraceeGone, waitForStop } from "./stops.ts";
import { InconsistentImage } from "../errors/wrong-input.ts";

const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;
const CREATION_EVENTS: readonly number[] = [PTRACE_EVENT.FORK, PTRACE_EVENT.VFORK, PTRACE_EVENT.CLONE];

export class BuildScope extends RemoteScope {
  readonly pid: number;
  #tid: number;
  readonly memory: TraceeMemory;
  readonly scratch: RemoteAddress;
  readonly blocked = 0n;
  readonly callArea: CallArea;
  registers: Registers;
  /** The user namespace of the set that the thread is in; undefined for kmonte's. What is ours is out of reach then. */
  user: string | undefined;
  /** Namespaces of the set that it has entered or was cloned in, by their kind. */
  readonly entered: Record<string, string> = {};
  /** The task that the last clone made, by our id for it. */
  lastBorn = 0;
  /** The kernel holds a call of this thread's that restart_syscall(2) goes on with. */
  hasRestartBlock = false;
  /** The call that the thread was in, when its registers do not tell. */
  restartAs: SyscallName | undefined;

  constructor(pid: number, tid: number, memory: TraceeMemory, callArea: CallArea) {
    super();
    this.pid = pid;
    this.#tid = tid;
    this.memory = memory;
    this.callArea = callArea;
    this.scratch = callArea.data;
    // A blank process was stopped in pause(2) or, as a child, in clone3(2): nothing of that shall go on.
    this.registers = getRegisters(tid).set("orig_rax", -1);
    setSignalMask(tid, ALL_SIGNALS);
  }

  /** What is put there comes from the image, which was made where it had fitted. */
  protected override tooLarge(bytes: number): Error {
    return new InconsistentImage(`something in it has ${bytes} bytes, more than any kernel takes`);
  }

  attempt(name: SyscallName, ...args: number[]): number {
    this.#prepare(name, args);
    this.#toBreakpoint();
    return getRegisters(this.tid).getInt("rax");
  }

  /** Lets the thread make the call as soon as it runs. */
  #prepare(name: SyscallName, args: readonly number[]): void {
    const registers = this.registers.clone().set("rip", this.callArea.single).set("rax", SYS[name]);
    (["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const).forEach((reg, i) => registers.set(reg, args[i] ?? 0));
    setRegisters(this.tid, registers);
  }

  /** Rows that fit into one {@link batch}. */
  get batchSize(): number {
    return Math.floor((this.callArea.dataSize - SCRATCH_SIZE) / ROW_SIZE);
  }

  /** Many system calls in one go: the loop in the call area makes them. */
  override batch(rows: readonly Row[]): number[] {
    const results: number[] = [];
    const table = (this.callArea.data + SCRATCH_SIZE) as RemoteAddress;
    for (let first = 0; first < rows.length; first += this.batchSize) {
      const part = rows.slice(first, first + this.batchSize);
      const bytes = encodeTable(part);
      this.memory.write(table, bytes);
      const registers = this.registers.clone();
      setRegisters(this.tid, registers.set("rip", this.callArea.loop).set("rbx", table).set("rbp", part.length));
      this.#toBreakpoint();
      results.push(...decodeTable(this.memory.read(table, bytes.length)));
    }
    return results;
  }

  /**
   * Makes the call and interrupts it at once, so that the kernel keeps what it needs to go on with it. The trap is set
   * while the thread stands at the call's entry: the call finds that it is interrupted as soon as it wants to sleep.
   */
  interruptIn(name: SyscallName, ...args: number[]): void {
    this.#prepare(name, args);
    resume("SYSCALL", this.tid);
    waitForStop(this.tid);
    interrupt(this.tid);
    resume("CONT", this.tid);
    const stop = waitForStop(this.tid);
    this.hasRestartBlock = getRegisters(this.tid).getInt("rax") === -RESTART.ERESTART_RESTARTBLOCK;
    // The call may have ended by itself, and the thread have run into the breakpoint behind it before the trap.
    if (stop.event !== PTRACE_EVENT.STOP) this.hasRestartBlock = false;
  }

  /**
   * clone3(2) with the given ids for the child, one for each pid namespace from the innermost out; for those that are
   * not given the kernel chooses. The child is traced and stopped when this returns. `meanwhile` is what a file of
   * kmonte's holds for as long as the call takes.
   */
  clone(
    args: Omit<CloneArgs, "setTid" | "setTidSize">,
    tids: readonly number[],
    about: string,
    meanwhile?: Meanwhile,
  ): number {
    const ids = Buffer.alloc(4 * tids.length);
    tids.forEach((tid, i) => ids.writeInt32LE(tid, i * 4));
    const setTid = tids.length === 0 ? 0 : this.put(ids, CLONE_ARGS_SIZE);
    const at = this.put(encodeCloneArgs({ ...args, setTid, setTidSize: tids.length }));
    this.#prepare("clone3", [at, CLONE_ARGS_SIZE]);
    this.#toBreakpoint(meanwhile);
    const result = getRegisters(this.tid).getInt("rax");
    if (result < 0) throw new SyscallError("clone3", result, about, this.pid);
    return result;
  }

  get tid(): number {
    return this.#tid;
  }

  /** From here on calls are made in another thread of the process, which must be one of ours. */
  continueIn(tid: number): void {
    this.#tid = tid;
    this.registers = getRegisters(tid).set("orig_rax", -1);
    setSignalMask(tid, ALL_SIGNALS);
  }

  /** Has the thread use a tile register: only then does its kernel have room for tiles (arch_prctl(2)). */
  useTile(): void {
    const config = Buffer.alloc(64);
    config[0] = 1; // palette
    config[16] = 64; // bytes in a row of tile 0
    config[48] = 1; // rows of it
    const registers = this.registers.clone().set("rip", this.callArea.tile).set("rbx", this.put(config));
    setRegisters(this.tid, registers);
    this.#toBreakpoint();
  }

  /** exit(2): this thread alone ends. */
  exitThread(status = 0): void {
    const registers = this.registers.clone().set("rip", this.callArea.single).set("rax", SYS.exit);
    setRegisters(this.tid, registers.set("rdi", status));
    resume("CONT", this.tid);
  }

  /** exit_group(2): the process ends and stays for its parent to wait for. */
  exit(status: number): void {
    const registers = this.registers.clone().set("rip", this.callArea.single).set("rax", SYS.exit_group);
    setRegisters(this.tid, registers.set("rdi", status));
    resume("CONT", this.tid);
  }

  /** Ends by a signal, as a rule with nothing dumped; the process stays for its parent to wait for. */
  die(signal: number, dumping = false): void {
    // The breakpoint behind a call is a stop at which a signal may take the place of SIGTRAP (ptrace(2)).
    this.call("prctl", "Deciding whether a process leaves a core file", PR.SET_DUMPABLE, dumping ? 1 : 0);
    setSignalMask(this.tid, 0n);
    resume("CONT", this.tid, signal);
  }

  /** Takes one pending signal out of the queue, as if it had never come. */
  forgetSignal(signal: number): void {
    const set = Buffer.alloc(24);
    set.writeBigUInt64LE(1n << BigInt(signal - 1));
    const at = this.put(set);
    while (this.attempt("rt_sigtimedwait", at, 0, at + 8, 8) === signal);
  }

  #toBreakpoint(meanwhile?: Meanwhile): void {
    for (let stop = this.#toStop(meanwhile); ; stop = waitForStop(this.tid)) {
      if (stop.signal === SIGNAL.SIGTRAP && stop.event === 0) return;
      if (CREATION_EVENTS.includes(stop.event)) waitForStop((this.lastBorn = getEventMessage(this.tid)));
      else if (stop.event === 0 && stop.signal === SIGNAL.SIGSEGV) throw new TraceeGone(this.tid);
      resume("CONT", this.tid, stop.event === 0 ? stop.signal : 0);
    }
  }

  #toStop(meanwhile: Meanwhile | undefined): Stop {
    if (meanwhile) return resumeMeanwhile(this.tid, meanwhile);
    resume("CONT", this.tid);
    return waitForStop(this.tid);
  }

  /**
   * Made between two system call stops, without the breakpoint: that is a SIGTRAP, for which the kernel takes a handler
   * away, and takes the first fault out of the thread's queue, blocked or not (force_sig_info_to_task,
   * dequeue_synchronous_signal in kernel/signal.c).
   */
  override lastCall(name: SyscallName, about: string, ...args: number[]): void {
    setSignalMask(this.tid, ALL_SIGNALS);
    this.#betweenStops(name, args);
    const result = getRegisters(this.tid).getInt("rax");
    if (result < 0 && result >= -4095) throw new SyscallError(name, result, about, this.pid);
  }

  /** Unmaps the call area as its own last call. The thread stands behind a call of ours and needs its registers now. */
  leave(): void {
    const { start, end } = this.callArea;
    this.#betweenStops("munmap", [start, end - start]);
  }

  #betweenStops(name: SyscallName, args: readonly number[]): void {
    this.#prepare(name, args);
    for (let stops = 0; stops < 2;) {
      resume("SYSCALL", this.tid);
      if (waitForStop(this.tid).signal === (SIGNAL.SIGTRAP | 0x80)) stops += 1;
    }
  }
}
