/**
 * ^C and the like while this thread does not return to the event loop, where Node handles signals: a handler of our own
 * notes the first of them, and the second ends kmonte at once, as it does elsewhere (cli/interrupt.ts).
 */
import { KERNEL_SIGACTION_SIZE, SA, SIGNAL, SIGSET_SIZE } from "../abi/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { attempt, call } from "./call.ts";
import { NativeBuffer } from "./ffi.unsafe.ts";
import { int32, JUMP, MachineCode } from "./machine-code.x86_64.ts";
import { handlerAction } from "./signal-handler.x86_64.ts";

const SIGNALS = [SIGNAL.SIGINT, SIGNAL.SIGTERM, SIGNAL.SIGHUP];

/** What the handler writes: how many signals there were, and the first of them; 32 bits each. */
const NOTED = { COUNT: 0, FIRST: 4, SIZE: 8 } as const;

/** `handle(signal)`. */
function handlerCode(noted: number): Buffer {
  const address = Buffer.alloc(8);
  address.writeBigUInt64LE(BigInt(noted));
  return new MachineCode()
    .emit(0x48, 0xb8, ...address) // mov rax, noted
    .emit(0xb9, ...int32(1)) // mov ecx, 1
    .emit(0xf0, 0x0f, 0xc1, 0x08) // lock xadd [rax], ecx
    .emit(0x85, 0xc9) // test ecx, ecx
    .jump(JUMP.UNLESS_EQUAL, "second")
    .emit(0x89, 0x78, NOTED.FIRST) // mov [rax + FIRST], edi
    .emit(0xc3) // ret
    .place("second")
    .call(SYS.getpid)
    .emit(0x89, 0xc7) // mov edi, eax
    .emit(0xbe, ...int32(SIGNAL.SIGKILL)) // mov esi, SIGKILL
    .call(SYS.kill)
    .emit(0xc3) // ret
    .build();
}

interface Handler {
  readonly noted: NativeBuffer;
  /** struct sigaction. */
  readonly action: Buffer;
}

let handler: Handler | undefined;

function makeHandler(): Handler {
  const noted = new NativeBuffer(NOTED.SIZE);
  return { noted, action: handlerAction(handlerCode(noted.address), SA.SA_RESTART) };
}

/** Notes signals until it is disposed of; then they are handled as before, and the one that was noted is sent again. */
export class Interruption implements Disposable {
  readonly #handler: Handler;
  /** struct sigaction as the kernel has it: ours, then for each signal the one that was there. */
  readonly #actions = new NativeBuffer((1 + SIGNALS.length) * KERNEL_SIGACTION_SIZE);

  constructor() {
    this.#handler = handler ??= makeHandler();
    this.#handler.noted.bytes.fill(0);
    this.#actions.bytes.set(this.#handler.action);
    SIGNALS.forEach((signal, i) => {
      const { address } = this.#actions;
      call("rt_sigaction", "Handling signals", signal, address, this.#before(i), SIGSET_SIZE);
    });
  }

  get isRaised(): boolean {
    return this.#handler.noted.bytes.readInt32LE(NOTED.COUNT) !== 0;
  }

  #before(index: number): number {
    return this.#actions.address + (1 + index) * KERNEL_SIGACTION_SIZE;
  }

  [Symbol.dispose](): void {
    SIGNALS.forEach((signal, i) => attempt("rt_sigaction", signal, this.#before(i), 0, SIGSET_SIZE));
    const first = this.#handler.noted.bytes.readInt32LE(NOTED.FIRST);
    if (first !== 0) attempt("kill", process.pid, first);
    this.#actions[Symbol.dispose]();
  }
}
