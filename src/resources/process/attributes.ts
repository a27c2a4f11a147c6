/**
 * Small marks of a process: dumpable, subreaper, what its core files hold, out-of-memory score, login, the weight of
 * its session (prctl(2), core(5), proc(5), sched(7)).
 */
import { openSync, readFileSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import { taskOf } from "../../abi/living.ts";
import { asOurselves } from "../../abi/identity.ts";
import { orIfGone } from "../../lib/gone.ts";
import { PR } from "../../abi/prctl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FreezeProcess, ProcessResource, ThawProcess } from "../contract.ts";

const schema = v.strictObject({
  dumpable: v.picklist([0, 1, 2]),
  childSubreaper: v.boolean(),
  thpDisabled: v.boolean(),
  /** All memory is offered for merging (PR_SET_MEMORY_MERGE). */
  memoryMerge: v.optional(v.literal(true)),
  /** /proc/PID/oom_score_adj, -1000 to 1000. */
  oomScoreAdj: v.number(),
  /** /proc/PID/coredump_filter, hexadecimal. */
  coredumpFilter: v.optional(v.string()),
  /** /proc/PID/loginuid; absent when nobody has logged in. */
  loginUser: v.optional(v.number()),
  /** The nice value of the session that the process leads, as /proc/PID/autogroup has it, when it is not 0. */
  sessionNice: v.optional(v.number()),
});
type Attributes = v.InferOutput<typeof schema>;

const NO_LOGIN = 0xffff_ffff;
/** Set by the kernel itself for a program that was more than who started it; nobody else can (fs.suid_dumpable). */
const DUMPABLE_BY_ROOT = 2;

export const attributes: ProcessResource<Attributes> = {
  name: "attributes",
  schema,
  asks: {
    bytes: 4,
    calls: (at) => [
      ["prctl", PR.GET_CHILD_SUBREAPER, at],
      ["prctl", PR.GET_DUMPABLE],
      ["prctl", PR.GET_THP_DISABLE, 0, 0, 0, 0],
      ["prctl", PR.GET_MEMORY_MERGE, 0, 0, 0, 0],
    ],
  },
  freeze(process, answers) {
    const coredumpFilter = read(process, "coredump_filter");
    const loginUser = Number(read(process, "loginuid") ?? NO_LOGIN);
    const sessionNice = niceOfSession(process);
    return {
      childSubreaper: answers.result(0) === 0 && answers.bytes.readInt32LE(0) === 1,
      dumpable: answers.result(1) as 0 | 1 | 2,
      thpDisabled: answers.result(2) === 1,
      ...(answers.attempt(3) === 1 && { memoryMerge: true as const }),
      oomScoreAdj: Number(readFileSync(`/proc/${process.pid}/oom_score_adj`, "utf8")),
      ...(coredumpFilter !== undefined && { coredumpFilter }),
      ...(loginUser !== NO_LOGIN && { loginUser }),
      ...(sessionNice !== 0 && { sessionNice }),
    };
  },
  thaw(process, state) {
    const { pid, scope, context } = process;
    if (state.childSubreaper) scope.call("prctl", "Becoming a subreaper", PR.SET_CHILD_SUBREAPER, 1);
    asOurselves(() => {
      writeFileSync(`/proc/${pid}/oom_score_adj`, String(state.oomScoreAdj));
      if (state.sessionNice !== undefined) writeFileSync(`/proc/${pid}/autogroup`, String(state.sessionNice));
    });
    logIn(process, state.loginUser ?? NO_LOGIN);
    if (process.isBorrowed("memory")) return;
    if (state.thpDisabled) scope.call("prctl", "Switching huge pages off", PR.SET_THP_DISABLE, 1, 0, 0, 0);
    if (state.memoryMerge) scope.call("prctl", "Offering memory for merging", PR.SET_MEMORY_MERGE, 1, 0, 0, 0);
    if (state.coredumpFilter !== undefined) {
      asOurselves(() => writeFileSync(`/proc/${pid}/coredump_filter`, `0x${state.coredumpFilter}`));
    }
    // When all threads have their credentials: changing them takes it away, and it must stay away until then, as who
    // can write to the memory of one thread is master of all.
    context.atResume(() => {
      const now = scope.call("prctl", "Asking whether a process is dumpable", PR.GET_DUMPABLE);
      if (now === state.dumpable) return;
      const wanted = state.dumpable === DUMPABLE_BY_ROOT ? 0 : state.dumpable;
      scope.call("prctl", "Setting whether a process is dumpable", PR.SET_DUMPABLE, wanted);
    });
  },
};

/** Undefined where the kernel was built without. */
function read({ pid }: Pick<FreezeProcess, "pid">, name: string): string | undefined {
  return orIfGone(() => readFileSync(`/proc/${taskOf(pid)}/${name}`, "utf8").trim(), undefined);
}

function niceOfSession(process: FreezeProcess): number {
  if (process.stat.session !== process.pid) return 0;
  return Number(/nice (-?\d+)/.exec(read(process, "autogroup") ?? "")?.[1] ?? 0);
}

/** Only a process itself may say who has logged in (pam_loginuid(8)). */
function logIn(process: ThawProcess, user: number): void {
  const now = read(process, "loginuid");
  if (now === undefined || Number(now) === user) return;
  const local = process.context.keep(asOurselves(() => openSync(`/proc/${process.pid}/loginuid`, "w")) as LocalFd);
  const text = Buffer.from(String(user));
  process.lend(local, (fd) => {
    const { scope } = process;
    if (scope.attempt("write", fd, scope.put(text), text.length) === text.length) return;
    process.context.note(`Process ${process.pid} (${process.command}) counts as a login of another user now.`);
  });
}
