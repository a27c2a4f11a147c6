/** Signal handlers in machine code, for what must happen while JavaScript does not run. */
import { KERNEL_SIGACTION_SIZE, SA } from "../abi/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { nativeCode } from "./ffi.unsafe.ts";
import { MachineCode } from "./machine-code.x86_64.ts";

/** Where a handler returns to, in this process. */
let restorer: number | undefined;

/**
 * The kernel's struct sigaction, as rt_sigaction(2) takes it, of a handler with these SA_* flags. The code stays for good:
 * a signal may be on its way to it.
 */
export function handlerAction(code: Uint8Array, flags: number): Buffer {
  restorer ??= nativeCode(new MachineCode().call(SYS.rt_sigreturn).build());
  const action = Buffer.alloc(KERNEL_SIGACTION_SIZE);
  const words = [nativeCode(code), flags | SA.SA_RESTORER, restorer];
  words.forEach((word, i) => action.writeBigUInt64LE(BigInt(word), i * 8));
  return action;
}
