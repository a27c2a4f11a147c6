/**
 * What a thread has switched on or off for itself: the time stamp counter and CPUID (PR_SET_TSC, arch_prctl(2)), what
 * a memory error does (PR_MCE_KILL), speculation (PR_SET_SPECULATION_CTRL), memory for I/O (PR_SET_IO_FLUSHER).
 */
import * as v from "valibot";
import { attempt, withStruct } from "../../sys/call.ts";
import { ARCH, PR, PR_MCE_KILL, PR_SCHED_CORE_GET, PR_SPEC, PR_SPEC_CONTROL } from "../../abi/prctl.ts";
import { failures } from "../../errors/catalogue.ts";
import { getXstate } from "../../tracee/ptrace.ts";
import { TILE_DATA, xstateFeatures } from "../../abi/xstate.x86_64.ts";
import type { FreezeThread } from "../freeze-context.ts";
import type { ThreadResource } from "../contract.ts";

const speculation = v.picklist(["disabled", "forceDisabled"]);
const schema = v.strictObject({
  /** Reading the time stamp counter is SIGSEGV. */
  noTsc: v.optional(v.literal(true)),
  /** The CPUID instruction is SIGSEGV. */
  noCpuid: v.optional(v.literal(true)),
  memoryErrors: v.optional(v.picklist(["PR_MCE_KILL_LATE", "PR_MCE_KILL_EARLY"])),
  ioFlusher: v.optional(v.literal(true)),
  /** It has something in tile registers (Intel AMX). */
  amxTiles: v.optional(v.literal(true)),
  storeBypass: v.optional(speculation),
  indirectBranch: v.optional(speculation),
});
type Switches = v.InferOutput<typeof schema>;

const TSC_SIGSEGV = 2;
const MEMORY_ERRORS = ["PR_MCE_KILL_LATE", "PR_MCE_KILL_EARLY"] as const;

export const prctlSettings: ThreadResource<Switches, "prctlSettings"> = {
  name: "prctlSettings",
  schema,
  *forUser({ ioFlusher }) {
    if (ioFlusher) yield "It has memory for I/O (PR_SET_IO_FLUSHER).";
  },
  asks: {
    bytes: 4,
    calls: (at) => ({
      tsc: ["prctl", PR.GET_TSC, at],
      memoryErrors: ["prctl", PR.MCE_KILL_GET, 0, 0, 0, 0],
      ioFlusher: ["prctl", PR.GET_IO_FLUSHER, 0, 0, 0, 0],
      cpuid: ["arch_prctl", ARCH.GET_CPUID, 0],
    }),
  },
  freeze(thread, answers) {
    refuseCoreScheduling(thread);
    const memoryErrors = MEMORY_ERRORS[answers.attempt("memoryErrors")];
    const storeBypass = speculationOf(thread.status.get("Speculation_Store_Bypass"));
    const indirectBranch = speculationOf(thread.status.get("SpeculationIndirectBranch"));
    return {
      ...(answers.attempt("tsc") === 0 && answers.bytes.readInt32LE(0) === TSC_SIGSEGV && { noTsc: true as const }),
      ...(answers.attempt("cpuid") === 0 && { noCpuid: true as const }),
      ...(memoryErrors && { memoryErrors }),
      ...(answers.attempt("ioFlusher") === 1 && { ioFlusher: true as const }),
      ...((xstateFeatures(getXstate(thread.tid)) & TILE_DATA) !== 0n && { amxTiles: true as const }),
      ...(storeBypass && { storeBypass }),
      ...(indirectBranch && { indirectBranch }),
    };
  },
  thaw({ scope }, state) {
    const about = "Switching something on or off for a thread";
    if (state.noTsc) scope.call("prctl", about, PR.SET_TSC, TSC_SIGSEGV);
    if (state.noCpuid) scope.call("arch_prctl", about, ARCH.SET_CPUID, 0);
    if (state.memoryErrors) {
      const policy = MEMORY_ERRORS.indexOf(state.memoryErrors);
      scope.call("prctl", about, PR.MCE_KILL, PR_MCE_KILL.SET, policy, 0, 0);
    }
    if (state.ioFlusher) scope.call("prctl", about, PR.SET_IO_FLUSHER, 1, 0, 0, 0);
    if (state.amxTiles) scope.useTile();
    // A processor that does not need it does not offer it.
    for (const [which, control] of [
      [PR_SPEC.STORE_BYPASS, state.storeBypass],
      [PR_SPEC.INDIRECT_BRANCH, state.indirectBranch],
    ] as const) {
      if (control) scope.attempt("prctl", PR.SET_SPECULATION_CTRL, which, PR_SPEC_CONTROL[control], 0, 0);
    }
  },
};

/** As proc_pid_status(5) words it; what the machine decides for all is no matter of the thread. */
function speculationOf(text = ""): v.InferOutput<typeof speculation> | undefined {
  if (/^(thread force mitigated|conditional force disabled)$/.test(text)) return "forceDisabled";
  return /^(thread mitigated|conditional disabled)$/.test(text) ? "disabled" : undefined;
}

/** A cookie is a kernel's own secret: who shares a core with whom cannot be read from it alone. */
function refuseCoreScheduling({ tid, process }: FreezeThread): void {
  const cookie = withStruct(8, (bytes, address) =>
    attempt("prctl", PR.SCHED_CORE, PR_SCHED_CORE_GET, tid, 0, address) === 0 ? bytes.readBigUInt64LE(0) : 0n,
  );
  if (cookie === 0n) return;
  throw failures.CORE_SCHEDULING({ process, tid });
}
