/** What a thread has forbidden itself: strict mode or filters of system calls, oldest first (seccomp(2)). */
import * as v from "valibot";
import { SyscallError, attempt, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { PTRACE, PTRACE_O } from "../../abi/ptrace.ts";
import { BPF_MAXINSNS, SECCOMP_FILTER_FLAG, SECCOMP_SET_MODE, SOCK_FILTER_SIZE } from "../../abi/seccomp.ts";
import { failures } from "../../errors/catalogue.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import { BUILD_OPTIONS } from "../../tracee/blank.x86_64.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { setOptions } from "../../tracee/ptrace.ts";
import { SCRATCH_SIZE } from "../../tracee/scope.ts";
import type { FreezeThread } from "../freeze-context.ts";
import type { ThreadResource } from "../contract.ts";

const filterSchema = v.strictObject({
  /** struct sock_filter of each instruction, base64 (classic BPF). */
  program: v.string(),
  flags: v.string(),
});
const schema = v.optional(
  v.strictObject({
    mode: v.picklist(["strict", "filter"]),
    filters: v.array(filterSchema),
  }),
);
type State = v.InferOutput<typeof schema>;
type Filter = v.InferOutput<typeof filterSchema>;

export const seccomp: ThreadResource<v.InferOutput<typeof schema>, "seccomp"> = {
  name: "seccomp",
  schema,
  *forUser(state, { noNewPrivs }) {
    if (state && noNewPrivs !== true) yield "It has a filter that somebody with more rights has set.";
  },
  needs: (state) =>
    state ? [{ option: state.mode === "filter" ? "CONFIG_SECCOMP_FILTER" : "CONFIG_SECCOMP", what: "seccomp(2)" }] : [],
  freeze(thread) {
    const mode = thread.status.get("Seccomp") ?? "0";
    if (mode === "0") return undefined;
    return mode === "1" ? { mode: "strict", filters: [] } : { mode: "filter", filters: readFilters(thread) };
  },
  /** Before credentials are given up: a program may have had the right to it, and none since. */
  thaw({ tid, scope, process }, state) {
    if (!state) return;
    suspend(tid);
    if (state.mode === "strict") {
      scope.call("seccomp", "Entering the strict mode", SECCOMP_SET_MODE.STRICT, 0, 0);
      return;
    }
    for (const filter of state.filters.slice(process.filtersInCommon)) install(scope, filter);
  },
};

/**
 * Filters that all threads have come first, before there are other threads: only those that threads really have in
 * common let a later one be given to all of them (SECCOMP_FILTER_FLAG_TSYNC). Returns how many there are.
 */
export function thawCommonFilters(scope: BuildScope, states: readonly unknown[]): number {
  const [first, ...others] = states.map((state) => (state as State)?.filters ?? []);
  const common = (first ?? []).findIndex((filter, i) =>
    others.some((filters) => filters[i]?.program !== filter.program || filters[i].flags !== filter.flags),
  );
  const filters = (first ?? []).slice(0, common < 0 ? undefined : common);
  if (filters.length > 0) suspend(scope.tid);
  for (const filter of filters) install(scope, filter);
  return filters.length;
}

/** Our own calls shall not meet them. */
function suspend(tid: number): void {
  setOptions(tid, BUILD_OPTIONS | PTRACE_O.SUSPEND_SECCOMP);
}

function install(scope: BuildScope, { program, flags }: Filter): void {
  const code = Buffer.from(program, "base64");
  // struct sock_fprog, and the instructions behind it: too long for scratch memory, they go where calls are tabled.
  const fprog = Buffer.alloc(16);
  fprog.writeUInt16LE(code.length / SOCK_FILTER_SIZE, 0);
  const room = scope.callArea.dataSize - 16;
  if (code.length > room) throw new InconsistentImage(`a filter of ${code.length} bytes does not fit`);
  fprog.writeBigUInt64LE(BigInt(scope.scratch + 16), 8);
  scope.memory.write(scope.scratch, Buffer.concat([fprog, code]));
  const flagBits = parseFlags(SECCOMP_FILTER_FLAG, flags);
  scope.call("seccomp", "Installing a filter", SECCOMP_SET_MODE.FILTER, flagBits, scope.scratch);
}

/** What fits into a process under construction; longer ones are very rare. */
const LONGEST = 6 * SCRATCH_SIZE;

function readFilters({ tid, process }: FreezeThread): Filter[] {
  const filters: Filter[] = [];
  for (;;) {
    const filter = readFilter(tid, filters.length);
    if (filter === -ERRNO.ENOENT) return filters;
    if (typeof filter === "number") {
      const about = `Reading filter ${filters.length} of thread ${tid}`;
      const why = new SyscallError("ptrace(PTRACE_SECCOMP_GET_FILTER)", filter, about).message;
      throw failures.SECCOMP_FILTER.unreadable({ process, tid, why });
    }
    if (Buffer.from(filter.program, "base64").length > LONGEST)
      throw failures.SECCOMP_FILTER.tooLong({ process, tid, number: filters.length, longest: LONGEST });
    if (asksListener(filter)) throw failures.SECCOMP_LISTENER({ pid: process.pid, command: process.command, tid });
    filters.push(filter);
  }
}

/** BPF_RET with a constant (bpf_common.h) of SECCOMP_RET_USER_NOTIF. */
const RETURN_CONSTANT = 0x06;
const RET_USER_NOTIF = 0x7fc0_0000;

/** Whether a filter may hand a call to a listener (seccomp_unotify(2)), which nothing but its installation makes. */
function asksListener({ program }: Filter): boolean {
  const code = Buffer.from(program, "base64");
  for (let at = 0; at < code.length; at += SOCK_FILTER_SIZE) {
    if (code.readUInt16LE(at) === RETURN_CONSTANT && code.readUInt32LE(at + 4) === RET_USER_NOTIF) return true;
  }
  return false;
}

/** Number 0 is the oldest. Returns a negated errno when it cannot be read. */
function readFilter(tid: number, index: number): Filter | number {
  return withStruct(BPF_MAXINSNS * SOCK_FILTER_SIZE, (bytes, address) => {
    const length = attempt("ptrace", PTRACE.SECCOMP_GET_FILTER, tid, index, address);
    if (length < 0) return length;
    const program = bytes.subarray(0, length * SOCK_FILTER_SIZE).toString("base64");
    return { program, flags: formatFlags(SECCOMP_FILTER_FLAG, readFlags(tid, index)) };
  });
}

function readFlags(tid: number, index: number): number {
  return withStruct(16, (bytes, address) => {
    bytes.writeBigUInt64LE(BigInt(index), 0);
    return attempt("ptrace", PTRACE.SECCOMP_GET_METADATA, tid, 16, address) < 0 ? 0 : Number(bytes.readBigUInt64LE(8));
  });
}
