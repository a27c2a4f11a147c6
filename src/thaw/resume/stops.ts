/**
 * Processes that were stopped (SIGSTOP, signal(7)) are stopped while they are still being built, so that their parent
 * hears of it as often as it did: once, and maybe has waited for it already.
 */
import { attempt } from "../../sys/call.ts";
import { PTRACE_EVENT } from "../../abi/ptrace.ts";
import { SIGNAL, signalNumber } from "../../abi/signal.ts";
import { WAIT } from "../../abi/wait.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { resume, setSignalMask } from "../../tracee/ptrace.ts";
import { waitForStop } from "../../tracee/stops.ts";
import type { BuiltProcess } from "../fill/process.ts";

const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;

export function thawStop(process: BuiltProcess, scopes: ReadonlyMap<number, BuildScope>): void {
  const { stopped, waitable: unwaited } = process.state;
  if (stopped === undefined && unwaited === undefined) return;
  const signal = stopped === undefined ? SIGNAL.SIGSTOP : signalFor(process, stopped);
  enterStop(process, [...scopes.values()], signal);
  const parent = process.parent?.scope;
  const seen = process.parent?.seen(process.pid) ?? process.pid;
  if (stopped === undefined) {
    attempt("kill", process.pid, SIGNAL.SIGCONT);
    // The parent is told when the child runs next.
    process.scope.forgetSignal(SIGNAL.SIGCONT);
  } else if (unwaited !== "stopped") {
    parent?.attempt("wait4", seen, 0, WAIT.WUNTRACED | WAIT.WNOHANG | WAIT.WALL, 0);
  }
  // What was queued at the freeze comes back by itself.
  parent?.forgetSignal(SIGNAL.SIGCHLD);
}

/** Which signal it was shows only while nobody has waited; a handler that stands now must not run for it. */
function signalFor({ state, body }: BuiltProcess, stopped: string): number {
  const { signalActions } = body.resources;
  return state.waitable === "stopped" && !(stopped in signalActions) ? signalNumber(stopped) : SIGNAL.SIGSTOP;
}

/** All threads have to come to the stop; each of them stands behind a call of ours, where a signal can be given. */
function enterStop(process: BuiltProcess, scopes: readonly BuildScope[], signal: number): void {
  for (const scope of scopes) scope.attempt("getpid");
  const main = process.scope;
  setSignalMask(main.tid, 0n);
  resume("CONT", main.tid, signal);
  if (waitForStop(main.tid).event !== PTRACE_EVENT.STOP && signal !== SIGNAL.SIGSTOP) {
    // Members of an orphaned process group do not stop for anything else (setpgid(2)).
    resume("CONT", main.tid, SIGNAL.SIGSTOP);
    waitForStop(main.tid);
  }
  setSignalMask(main.tid, ALL_SIGNALS);
  for (const { tid } of scopes) {
    if (tid === main.tid) continue;
    resume("CONT", tid);
    waitForStop(tid);
  }
}
