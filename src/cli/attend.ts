/** Waiting for a program that works in our terminal, as a shell waits for a job: it may stop, and it ends. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { attempt } from "../sys/call.ts";
import { SIGNAL } from "../abi/signal.ts";
import { WAIT, type WaitStatus } from "../abi/wait.ts";
import { wait4 } from "../sys/wait.ts";
import { parseStat } from "../proc/status.ts";
import { setForeground, setTerminalModes, terminalModes, type ShellJob } from "../thaw/resume/shell.ts";

const PAUSE_MS = 30;
/** A shell tells of a signal that ended a program by adding this to it. */
const ENDED_BY_SIGNAL = 128;

/** Returns the exit status for a shell. */
export async function attend({ pid, group, modes }: ShellJob): Promise<number> {
  const own = parseStat(readFileSync("/proc/self/stat", "utf8")).pgrp;
  // Programs draw themselves anew: this may be another window.
  attempt("kill", -group, SIGNAL.SIGWINCH);
  for (;;) {
    // ^Z stops the program alone; we follow, so that the shell takes over.
    const status = wait4(pid, WAIT.WALL | WAIT.WNOHANG | WAIT.WUNTRACED);
    if (status === undefined) {
      await sleep(PAUSE_MS);
      continue;
    }
    const theirs = terminalModes();
    setForeground(own);
    setTerminalModes(modes);
    const ended = exitStatus(status);
    if (ended !== undefined) return ended;
    attempt("kill", process.pid, SIGNAL.SIGSTOP);
    // The shell has put us into the foreground, or lets us go on in the background (fg, bg).
    if (foregroundGroup() === own) {
      setTerminalModes(theirs);
      setForeground(group);
    }
    attempt("kill", -group, SIGNAL.SIGCONT);
  }
}

function foregroundGroup(): number {
  return parseStat(readFileSync("/proc/self/stat", "utf8")).tpgid;
}

function exitStatus(status: WaitStatus | number): number | undefined {
  if (typeof status === "number") return 0;
  if (status.state === "exited") return status.code;
  return status.state === "killed" ? ENDED_BY_SIGNAL + status.signal : undefined;
}
