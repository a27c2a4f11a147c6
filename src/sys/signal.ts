/** Signals of x86-64 by name (signal(7), arch/x86/include/uapi/asm/signal.h). */
import { SIGSET_SIZE, SIG_SETMASK } from "../abi/signal.ts";
import { call, withStruct } from "./call.ts";

/** Runs `action` with every signal blocked in this thread (rt_sigprocmask(2)); programs that it starts inherit that. */
export function withAllSignalsBlocked<T>(action: () => T): T {
  return withStruct(2 * SIGSET_SIZE, (sets, address) => {
    sets.fill(0xff, 0, SIGSET_SIZE);
    const before = address + SIGSET_SIZE;
    call("rt_sigprocmask", "Blocking signals", SIG_SETMASK, address, before, SIGSET_SIZE);
    try {
      return action();
    } finally {
      call("rt_sigprocmask", "Unblocking signals", SIG_SETMASK, before, 0, SIGSET_SIZE);
    }
  });
}
