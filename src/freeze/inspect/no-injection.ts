/** What forbids any call of ours in a stopped program, so that it must be known before the first. */
import { attempt, withStruct } from "../../sys/call.ts";
import { PTRACE } from "../../abi/ptrace.ts";
import { USER_CS_64 } from "../../abi/registers.x86_64.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { getRegisters } from "../../tracee/ptrace.ts";
import { refuseFrozenGroup } from "../stop/frozen-cgroup.ts";
import type { StoppedProcess } from "../stop/stopped-set.ts";

export function cannotInject(process: StoppedProcess): Refusal | undefined {
  const frozen = refuseFrozenGroup(process.pid, process.stat.comm);
  if (frozen) return frozen;
  for (const { tid } of process.threads) {
    const refusal = isCompat(process, tid) ?? dispatchesCalls(process, tid);
    if (refusal) return refusal;
  }
  return undefined;
}

function isCompat({ pid, stat }: StoppedProcess, tid: number): Refusal | undefined {
  const segment = getRegisters(tid).getInt("cs");
  if (segment === USER_CS_64) return undefined;
  return failures.COMPAT_32BIT({ pid, command: stat.comm, tid, segment: segment.toString(16) });
}

const CONFIG_SIZE = 32;

/** System calls that become SIGSYS unless a byte of the program says otherwise (PR_SET_SYSCALL_USER_DISPATCH). */
function dispatchesCalls({ pid, stat }: StoppedProcess, tid: number): Refusal | undefined {
  const mode = withStruct(CONFIG_SIZE, (bytes, address) =>
    attempt("ptrace", PTRACE.GET_SYSCALL_USER_DISPATCH_CONFIG, tid, CONFIG_SIZE, address) < 0
      ? 0n
      : bytes.readBigUInt64LE(0),
  );
  if (mode === 0n) return undefined;
  return failures.SYSCALL_USER_DISPATCH({ pid, command: stat.comm, tid });
}
