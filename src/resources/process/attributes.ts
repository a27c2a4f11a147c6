/**
 * Small marks of a process: dumpable, subreaper, what its core files hold, out-of-memory score, login, the weight of
 * its session (prctl(2), core(5), proc(5), sched(7)).
 */
import * as v from "valibot";
import { openSync, readFileSync, writeFileSync } from "../../sys/files.ts";
import { livingThread, procPath } from "../../sys/task.ts";
import { asOurselves } from "../../sys/identity.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { TILE_DATA, XFEATURE_XTILE_DATA } from "../../abi/xstate.x86_64.ts";
import {
  ARCH,
  PR,
  PR_FUTEX_HASH,
  PR_THP_DISABLE_EXCEPT_ADVISED,
  PR_TIMER_CREATE_RESTORE_IDS,
} from "../../abi/prctl.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";

const schema = v.strictObject({
  dumpable: v.picklist([0, 1, 2]),
  childSubreaper: v.boolean(),
  thpDisabled: v.boolean(),
  /** Huge pages are off but where madvise(2) asks for them (Linux 6.18). */
  thpExceptAdvised: v.optional(v.literal(true)),
  /** timer_create(2) takes the ids that it is given (Linux 6.16). */
  timerCreateRestoreIds: v.optional(v.literal(true)),
  /** The size of the process's own table of futexes (Linux 6.16); absent while it uses that of all. */
  futexHashSlots: v.optional(v.number()),
  /** It may use tile registers (Intel AMX), for which it has asked. */
  amxPermitted: v.optional(v.literal(true)),
  /** All memory is offered for merging (PR_SET_MEMORY_MERGE). */
  memoryMerge: v.optional(v.literal(true)),
  /** /proc/PID/oom_score_adj, -1000 to 1000. */
  oomScoreAdj: v.number(),
  /** /proc/PID/coredump_filter, hexadecimal. */
  coredumpFilter: v.optional(v.string()),
  /** /proc/PID/loginuid; absent when nobody has logged in. */
  loginUid: v.optional(v.number()),
  /** The nice value of the session that the process leads, as /proc/PID/autogroup has it, when it is not 0. */
  autogroupNice: v.optional(v.number()),
});
type Attributes = v.InferOutput<typeof schema>;

/** Where the answer about permissions stands among those in memory. */
const PERMISSIONS = 8;
const NO_LOGIN = 0xffff_ffff;
/** Set by the kernel itself for a program that was more than who started it; nobody else can (fs.suid_dumpable). */
const DUMPABLE_BY_ROOT = 2;

export const attributes: ProcessResource<Attributes, "attributes"> = {
  name: "attributes",
  differs: [
    { what: "who may trace a process by its own leave (PR_SET_PTRACER of prctl(2)): Yama keeps that to itself" },
  ],
  schema,
  *forUser({ dumpable, oomScoreAdj, autogroupNice: sessionNice = 0 }) {
    if (dumpable !== 1)
      yield "Its user may not look into it: it is, or was, a set-user-id program, or it asked for that (PR_SET_DUMPABLE).";
    if (oomScoreAdj < 0) yield "It is protected from the out-of-memory killer.";
    if (sessionNice < 0) yield "Its session has more weight than a user may give it.";
  },
  asks: {
    bytes: 16,
    calls: (at) => ({
      childSubreaper: ["prctl", PR.GET_CHILD_SUBREAPER, at],
      dumpable: ["prctl", PR.GET_DUMPABLE],
      thpDisabled: ["prctl", PR.GET_THP_DISABLE, 0, 0, 0, 0],
      memoryMerge: ["prctl", PR.GET_MEMORY_MERGE, 0, 0, 0, 0],
      timerIdsChosen: ["prctl", PR.TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS.GET, 0, 0, 0],
      futexSlots: ["prctl", PR.FUTEX_HASH, PR_FUTEX_HASH.GET_SLOTS, 0, 0, 0],
      xfeatures: ["arch_prctl", ARCH.GET_XCOMP_PERM, at + PERMISSIONS],
    }),
  },
  freeze(process, answers) {
    const coredumpFilter = read(process.task, "coredump_filter");
    const loginUser = Number(read(process.task, "loginuid") ?? NO_LOGIN);
    const sessionNice = niceOfSession(process);
    return {
      childSubreaper: answers.result("childSubreaper") === 0 && answers.bytes.readInt32LE(0) === 1,
      dumpable: answers.result("dumpable") as 0 | 1 | 2,
      thpDisabled: (answers.result("thpDisabled") & 1) === 1,
      ...((answers.result("thpDisabled") & PR_THP_DISABLE_EXCEPT_ADVISED) !== 0 && { thpExceptAdvised: true as const }),
      ...(answers.attempt("memoryMerge") === 1 && { memoryMerge: true as const }),
      ...(answers.attempt("timerIdsChosen") === 1 && { timerCreateRestoreIds: true as const }),
      ...(answers.attempt("futexSlots") > 0 && { futexHashSlots: answers.attempt("futexSlots") }),
      ...(answers.attempt("xfeatures") === 0 &&
        (answers.bytes.readBigUInt64LE(PERMISSIONS) & TILE_DATA) !== 0n && { amxPermitted: true as const }),
      oomScoreAdj: Number(readFileSync(`/proc/${process.pid}/oom_score_adj`, "utf8")),
      ...(coredumpFilter !== undefined && { coredumpFilter }),
      ...(loginUser !== NO_LOGIN && { loginUid: loginUser }),
      ...(sessionNice !== 0 && { autogroupNice: sessionNice }),
    };
  },
  thaw(process, state) {
    const { pid, scope, context } = process;
    if (state.childSubreaper) scope.call("prctl", "Becoming a subreaper", PR.SET_CHILD_SUBREAPER, 1);
    asOurselves(() => {
      writeFileSync(`/proc/${pid}/oom_score_adj`, String(state.oomScoreAdj));
      if (state.autogroupNice !== undefined) writeFileSync(`/proc/${pid}/autogroup`, String(state.autogroupNice));
    });
    if (state.amxPermitted) {
      scope.call("arch_prctl", "Asking for tile registers", ARCH.REQ_XCOMP_PERM, XFEATURE_XTILE_DATA);
    }
    logIn(process, state.loginUid ?? NO_LOGIN);
    if (process.isBorrowed("memory")) return;
    if (state.thpDisabled) {
      const but = state.thpExceptAdvised ? PR_THP_DISABLE_EXCEPT_ADVISED : 0;
      scope.call("prctl", "Switching huge pages off", PR.SET_THP_DISABLE, 1, but, 0, 0);
    }
    // Before there are threads, for which the kernel would choose a size; nothing but speed depends on it.
    if (state.futexHashSlots !== undefined) {
      scope.attempt("prctl", PR.FUTEX_HASH, PR_FUTEX_HASH.SET_SLOTS, state.futexHashSlots, 0, 0);
    }
    if (state.memoryMerge) scope.call("prctl", "Offering memory for merging", PR.SET_MEMORY_MERGE, 1, 0, 0, 0);
    if (state.coredumpFilter !== undefined) {
      asOurselves(() => writeFileSync(procPath(livingThread(pid), "coredump_filter"), `0x${state.coredumpFilter}`));
    }
    // When all threads have their credentials: changing them takes it away, and it must stay away until then, as who
    // can write to the memory of one thread is master of all.
    context.during("arm", () => {
      const now = scope.call("prctl", "Asking whether a process is dumpable", PR.GET_DUMPABLE);
      if (now === state.dumpable) return;
      const wanted = state.dumpable === DUMPABLE_BY_ROOT ? 0 : state.dumpable;
      scope.call("prctl", "Setting whether a process is dumpable", PR.SET_DUMPABLE, wanted);
    });
  },
  /** Making the timers switches it off. */
  lastCall({ scope }, { timerCreateRestoreIds: timerIdsChosen }) {
    if (!timerIdsChosen) return;
    const { ON } = PR_TIMER_CREATE_RESTORE_IDS;
    scope.lastCall("prctl", "Choosing timer ids", PR.TIMER_CREATE_RESTORE_IDS, ON, 0, 0, 0);
  },
};

/** Undefined where the kernel was built without. */
function read(task: Task, name: string): string | undefined {
  return orIfGone(() => readFileSync(procPath(task, name), "utf8").trim(), undefined);
}

function niceOfSession(process: FreezeProcess): number {
  if (process.stat.session !== process.pid) return 0;
  return Number(/nice (-?\d+)/.exec(read(process.task, "autogroup") ?? "")?.[1] ?? 0);
}

/** Only a process itself may say who has logged in (pam_loginuid(8)). */
function logIn(process: ThawProcess, user: number): void {
  const now = read(livingThread(process.pid), "loginuid");
  if (now === undefined || Number(now) === user) return;
  const local = process.context.keep(asOurselves(() => openSync(`/proc/${process.pid}/loginuid`, "w")) as LocalFd);
  const text = Buffer.from(String(user));
  process.lend(local, (fd) => {
    const { scope } = process;
    if (scope.attempt("write", fd, scope.put(text), text.length) === text.length) return;
    process.context.note(`Process ${process.pid} (${process.command}) counts as a login of another user now.`);
  });
}
