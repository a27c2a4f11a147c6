/** Remote calls inside a program that must go on unharmed whatever happens, the sudden death of kmonte included. */
import { RESTART } from "../abi/errno.ts";
import type { Registers } from "../abi/registers.x86_64.ts";
import { buildSigframe } from "../abi/sigframe.x86_64.ts";
import { SYS, type SyscallName } from "../abi/syscalls.x86_64.ts";
import { remoteAddress, type RemoteAddress } from "../lib/brand.ts";
import type { SyscallGadget } from "./syscall-gadget.x86_64.ts";
import type { TraceeMemory } from "./memory.ts";
import { getRegisters, getSignalMask, getXstate, resume, setRegisters, setSignalMask } from "./ptrace.ts";
import { resumedCall } from "./interrupted-call.x86_64.ts";
import { decodeTable, encodeTable, ROW_SIZE } from "./call-table.x86_64.ts";
import { signalBit, type CallPage } from "./call-page.x86_64.ts";
import { RemoteScope, SCRATCH_SIZE, TABLE_SIZE, type Row } from "./scope.ts";
import { waitForStop } from "./stops.ts";

const SIGTRAP_SYSCALL = 5 | 0x80;
const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;

/** How the thread would have gone on by itself: an interrupted call is run again (see signal(7)). */
function restarted(registers: Registers, memory: TraceeMemory): Registers {
  const call = resumedCall(registers, memory);
  const nr = call && call !== "unknown" ? SYS[call.name] : registers.getInt("orig_rax");
  const result = -registers.getInt("rax");
  const again = Object.values(RESTART).some((code) => code === result);
  if (nr < 0 || !again) return registers;
  // A call with a remaining time is run from its beginning here: only the kernel knows what remains.
  return registers
    .clone()
    .set("rip", registers.get("rip") - 2n)
    .set("rax", nr);
}

/** Opens a scope in a thread that is stopped; end it with `using`. */
export class GuardedScope extends RemoteScope implements Disposable {
  readonly pid: number;
  readonly tid: number;
  readonly memory: TraceeMemory;
  readonly scratch: RemoteAddress;
  readonly blocked: bigint;
  readonly #gadget: SyscallGadget;
  readonly registers: Registers;
  /** What stood in the dead stack; rooms have nothing to be put back. */
  readonly #saved: Buffer | undefined;
  readonly #stack: number;

  readonly #page: CallPage | undefined;
  readonly #quiet: number | undefined;
  /** A table that is being worked through. */
  #running: { readonly table: RemoteAddress; readonly length: number } | undefined;

  /** With `room`, the thread uses that one of the page's rooms, at the same time as others use theirs. */
  constructor(pid: number, tid: number, gadget: SyscallGadget, page?: CallPage, room?: number) {
    super();
    this.pid = pid;
    this.tid = tid;
    this.memory = gadget.memory;
    const area = page && room !== undefined ? page.room(room) : gadget.area;
    this.scratch = area;
    this.#gadget = gadget;
    this.#stack = area + SCRATCH_SIZE + TABLE_SIZE;
    this.#page = page;
    this.registers = getRegisters(tid);
    this.blocked = getSignalMask(tid);
    this.#quiet = page?.signalFor(this.blocked);
    this.#saved = area === gadget.area ? this.memory.read(area, gadget.areaSize) : undefined;
    this.#writeWayHome();
    // From here to the end the thread, if it were let go, would walk home and get its own mask back on the way.
    if (gadget.restorer !== undefined) setRegisters(tid, this.#homeward(gadget.restorer));
    setSignalMask(tid, this.#quiet === undefined ? ALL_SIGNALS : ALL_SIGNALS & ~signalBit(this.#quiet));
  }

  #writeWayHome(): void {
    const { pops, restorer } = this.#gadget;
    if (restorer === undefined) return;
    const frameAt = Math.ceil((this.#stack + (pops + 1) * 8) / 16) * 16;
    // The frame must begin right where `ret` leaves rsp: the unused words go below.
    const stack = frameAt - (pops + 1) * 8;
    const home = Buffer.alloc((pops + 1) * 8);
    home.writeBigUInt64LE(BigInt(restorer), pops * 8);
    const frame = buildSigframe(frameAt, restarted(this.registers, this.memory), getXstate(this.tid), this.blocked);
    this.memory.write(remoteAddress(stack), Buffer.concat([home, frame]));
  }

  #homeward(restorer: RemoteAddress): Registers {
    return this.registers.clone().set("rip", restorer).set("rsp", this.#frameAt).set("orig_rax", -1);
  }

  /** Where rt_sigreturn finds the way home. */
  get #frameAt(): number {
    return this.#rsp + (this.#gadget.pops + 1) * 8;
  }

  get #rsp(): number {
    const words = (this.#gadget.pops + 1) * 8;
    return Math.ceil((this.#stack + words) / 16) * 16 - words;
  }

  attempt(name: SyscallName, ...args: number[]): number {
    const registers = this.registers.clone();
    registers.set("rip", this.#gadget.syscall).set("rsp", this.#rsp).set("rax", SYS[name]).set("orig_rax", -1);
    (["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const).forEach((reg, i) => registers.set(reg, args[i] ?? 0));
    setRegisters(this.tid, registers);
    this.#toSyscallStop();
    this.#toSyscallStop();
    return getRegisters(this.tid).getInt("rax");
  }

  /** In one go where the program has room for a page of ours. */
  override batch(rows: readonly Row[]): number[] {
    const code = this.#code(rows);
    if (code === undefined) return super.batch(rows);
    const results: number[] = [];
    const most = TABLE_SIZE / ROW_SIZE;
    for (let first = 0; first < rows.length; first += most) {
      this.#startTable(code, rows.slice(first, first + most));
      results.push(...this.#finishTable());
    }
    return results;
  }

  override begin(rows: readonly Row[]): () => number[] {
    const code = this.#code(rows);
    if (code === undefined || rows.length > TABLE_SIZE / ROW_SIZE) return super.begin(rows);
    this.#startTable(code, rows);
    return () => this.#finishTable();
  }

  #code(rows: readonly Row[]): RemoteAddress | undefined {
    if (this.#quiet === undefined || !this.#canGoHome || rows.length < 2) return undefined;
    return this.#page?.enter(this);
  }

  get #canGoHome(): boolean {
    return this.#gadget.restorer !== undefined;
  }

  #startTable(code: RemoteAddress, rows: readonly Row[]): void {
    const table = remoteAddress(this.scratch + SCRATCH_SIZE);
    const bytes = encodeTable(rows);
    this.memory.write(table, bytes);
    const registers = this.registers.clone().set("rip", code).set("rsp", this.#frameAt).set("orig_rax", -1);
    registers
      .set("rbx", table)
      .set("rbp", rows.length)
      .set("r13", this.#quiet ?? 0);
    setRegisters(this.tid, registers);
    resume("CONT", this.tid);
    this.#running = { table, length: bytes.length };
  }

  #finishTable(): number[] {
    const running = this.#running;
    if (!running) throw new Error("no table is running");
    this.#running = undefined;
    for (;;) {
      const stop = waitForStop(this.tid);
      const ours = stop.event === 0 && stop.signal === this.#quiet;
      if (ours && this.#page?.isDone(Number(getRegisters(this.tid).get("rip")))) break;
      // Another's signal of the same number comes to nothing, here as without us.
      resume("CONT", this.tid, stop.event === 0 && !ours ? stop.signal : 0);
    }
    return decodeTable(this.memory.read(running.table, running.length));
  }

  #toSyscallStop(): void {
    resume("SYSCALL", this.tid);
    let stop = waitForStop(this.tid);
    while (stop.signal !== SIGTRAP_SYSCALL) {
      // All signals are blocked; only a SIGSTOP gets here, and it is given on: the stop is seen when we let go.
      resume("SYSCALL", this.tid, stop.event === 0 ? stop.signal : 0);
      stop = waitForStop(this.tid);
    }
  }

  [Symbol.dispose](): void {
    // Whatever went wrong elsewhere: only who stands still can be put right.
    if (this.#running) this.#finishTable();
    setSignalMask(this.tid, this.blocked);
    setRegisters(this.tid, this.registers);
    if (this.#saved) this.memory.write(this.#gadget.area, this.#saved);
  }
}
