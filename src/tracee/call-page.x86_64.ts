/**
 * A page of code of ours in a stopped program, for the length of one look: it makes many system calls in one go, where
 * each call through {@link GuardedScope.attempt} costs two stops.
 *
 * A program must go on unharmed even if kmonte dies while the code runs, so it must not end at a breakpoint. It ends by
 * sending its own thread a signal that does nothing by default and that the program neither catches nor blocks: while
 * it is traced that is a stop; when nobody traces it any more the signal is ignored, and the code goes on through
 * rt_sigreturn to where the thread was. Only the page itself would be left behind then.
 *
 * Behind the page there may be rooms: scratch memory and a way home for each of several threads, so that they can make
 * their calls at the same time.
 */
import { MAP, PAGE_SIZE, PROT } from "../abi/mman.ts";
import { SIGNAL } from "../abi/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { remoteAddress, type RemoteAddress } from "../lib/brand.ts";
import { LOOP_CODE } from "./call-table.x86_64.ts";
import type { RemoteScope } from "./scope.ts";

/** `mov eax, number; syscall`. */
const call = (number: number): number[] => [0xb8, number & 0xff, number >> 8, 0, 0, 0x0f, 0x05];

/** Signal in r13d; the ids are asked for in the program's own pid namespace. */
const SIGNAL_ITSELF = [
  ...call(SYS.getpid),
  ...[0x41, 0x89, 0xc6], // mov r14d, eax
  ...call(SYS.gettid),
  ...[0x89, 0xc6], // mov esi, eax
  ...[0x44, 0x89, 0xf7], // mov edi, r14d
  ...[0x44, 0x89, 0xea], // mov edx, r13d
  ...call(SYS.tgkill),
];
const CODE = Buffer.from([...LOOP_CODE, ...SIGNAL_ITSELF, ...call(SYS.rt_sigreturn)]);
/** Where the thread stands when the table is done. */
const DONE = LOOP_CODE.length + SIGNAL_ITSELF.length;

/** Signals that do nothing by default and that nobody waits for as a rule (signal(7)). */
const QUIET = [SIGNAL.SIGURG, SIGNAL.SIGWINCH];

/** So many threads answer at a time at most. */
const MOST_ROOMS = 64;

export class CallPage {
  /** Undefined where the program catches them all, or has no page to give: calls are made one by one then. */
  readonly #signals: readonly number[];
  readonly #roomSize: number;
  readonly #wantedRooms: number;
  #address: RemoteAddress | undefined;
  #refused = false;
  #rooms = 0;

  /**
   * `caught`: the signals that the program handles (SigCgt of its status); bit 0 is signal 1. `threads` of them could
   * use a room of `roomSize` bytes.
   */
  constructor(caught: bigint, threads: number, roomSize: number) {
    this.#signals = QUIET.filter((signal) => (caught & signalBit(signal)) === 0n);
    this.#wantedRooms = Math.min(threads, MOST_ROOMS);
    this.#roomSize = Math.ceil(roomSize / 64) * 64;
  }

  /** A signal that may end a table in a thread that blocks these. */
  signalFor(blocked: bigint): number | undefined {
    return this.#signals.find((signal) => (blocked & signalBit(signal)) === 0n);
  }

  /** Where the code begins; maps it at the first call. Undefined when the program may not have such a page. */
  enter(scope: RemoteScope): RemoteAddress | undefined {
    if (this.#address === undefined && !this.#refused) {
      const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS;
      const address = scope.attempt("mmap", 0, this.#size, PROT.PROT_READ | PROT.PROT_EXEC, flags, -1, 0);
      if (address < 0) this.#refused = true;
      else {
        this.#address = remoteAddress(address);
        scope.memory.write(this.#address, CODE);
        this.#openRooms(scope);
      }
    }
    return this.#address;
  }

  #openRooms(scope: RemoteScope): void {
    if (this.#wantedRooms < 2) return;
    const protection = PROT.PROT_READ | PROT.PROT_WRITE;
    const first = (this.#address as number) + PAGE_SIZE;
    if (scope.attempt("mprotect", first, this.#size - PAGE_SIZE, protection) === 0) this.#rooms = this.#wantedRooms;
  }

  get #size(): number {
    const rooms = this.#wantedRooms < 2 ? 0 : this.#wantedRooms * this.#roomSize;
    return PAGE_SIZE + Math.ceil(rooms / PAGE_SIZE) * PAGE_SIZE;
  }

  /** How many threads can be in scopes with rooms of their own at a time. */
  get rooms(): number {
    return this.#rooms;
  }

  room(index: number): RemoteAddress {
    return remoteAddress((this.#address as number) + PAGE_SIZE + index * this.#roomSize);
  }

  isDone(instruction: number): boolean {
    return this.#address !== undefined && instruction === this.#address + DONE;
  }

  /** Whether there is a page to take away. */
  get mapped(): boolean {
    return this.#address !== undefined;
  }

  /** Takes the page away again, in a scope of the same program; not needed when it was never made. */
  leave(scope: RemoteScope): void {
    if (this.#address === undefined) return;
    scope.call("munmap", "Taking our page away", this.#address, this.#size);
    this.#address = undefined;
    this.#rooms = 0;
  }
}

export function signalBit(signal: number): bigint {
  return 1n << BigInt(signal - 1);
}
