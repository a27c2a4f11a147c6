/**
 * A program that worked in the terminal of a shell, thawed from another shell (kmonte thaw --shell): its terminal, its
 * session and its place in the foreground become those of whoever thaws it (credentials(7), tty(4)).
 */
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { attempt, withStruct } from "../../sys/call.ts";
import { SIGNAL } from "../../abi/signal.ts";
import { TERMIOS2_SIZE, TTY } from "../../abi/tty.ts";
import { ttyGet, ttySet, ttySetInt } from "../../sys/tty.ts";
import { failures } from "../../errors/catalogue.ts";
import type { FrozenFile, FrozenProcess, FrozenState } from "../../image/schema.ts";
import { parseStat } from "../../proc/status.ts";
import { terminal as terminalKind, type TerminalState } from "../../resources/tty/terminal.ts";
import { stateOfFile } from "../../image/kinds.ts";

/** Standard input: what a shell gives to a program that it runs in the foreground. */
const TERMINAL = 0;

/** What the one who waits for the program needs. */
export interface ShellJob {
  /** The process that the shell sees as the program, and the group to be in the foreground. */
  readonly pid: number;
  readonly group: number;
  /** Modes that the terminal had before (struct termios2, base64). */
  readonly modes: string;
}

export interface Adopted {
  readonly state: FrozenState;
  readonly group: number;
  readonly pid: number;
  /** The modes that the program had set. */
  readonly modes: string | undefined;
}

/** The state as if the program had been started in this shell's session and terminal. */
export function adoptIntoShell(state: FrozenState): Adopted {
  const terminal = ownTerminal();
  const session = parseStat(readFileSync("/proc/self/stat", "utf8")).session;
  const pids = new Set(state.processes.map(({ pid }) => pid));
  const own = new Set(
    state.processes
      .filter(({ pid, sid, controllingTerminal: taken }) => sid === pid && !(taken && "outside" in taken.terminal))
      .map(({ pid }) => pid),
  );
  /** Groups whose leader is not in the set are led by the first of their processes. */
  const groups = new Map<number, number>();
  const processes = state.processes.map((process): FrozenProcess => {
    if (own.has(process.sid)) return process;
    const group = pids.has(process.pgid) ? process.pgid : (groups.get(process.pgid) ?? process.pid);
    groups.set(process.pgid, group);
    const { controllingTerminal: _, ...rest } = process;
    return { ...rest, sid: session, pgid: group };
  });
  const foreground = state.processes.find(
    ({ controllingTerminal: taken }) => taken && "outside" in taken.terminal,
  )?.controllingTerminal;
  const first = processes.find(({ sid }) => sid === session) ?? processes[0];
  const wanted = processes.find(({ pgid }) => pgid === foreground?.foreground)?.pgid;
  const outside = Object.values(state.files).flatMap((file) => outsideOf(file) ?? []);
  const files = Object.fromEntries(
    Object.entries(state.files).map(([id, file]) => [
      id,
      outsideOf(file) ? { ...file, state: { outside: terminal } satisfies TerminalState } : file,
    ]),
  );
  return {
    state: { ...state, processes, files },
    pid: first?.pid ?? 0,
    group: wanted ?? first?.pgid ?? 0,
    modes: outside.find(({ modes }) => modes !== undefined)?.modes,
  };
}

type Outside = Extract<TerminalState, { outside: unknown }>["outside"];

function outsideOf(file: FrozenFile): Outside | undefined {
  const state = stateOfFile(terminalKind, file);
  return state && "outside" in state ? state.outside : undefined;
}

function ownTerminal(): Outside {
  const { ttyNr } = parseStat(readFileSync("/proc/self/stat", "utf8"));
  const isTerminal = withStruct(TERMIOS2_SIZE, (_, at) => attempt("ioctl", TERMINAL, TTY.TCGETS2, at) === 0);
  if (ttyNr === 0 || !isTerminal) {
    throw failures.SHELL_TERMINAL();
  }
  const path = readlinkSync(`/proc/self/fd/${TERMINAL}`);
  return { path, createdAt: String(statSync(path, { bigint: true }).ctimeNs) };
}

/** Gives the terminal to the program, right before it goes on. */
export function handOver({ pid, group, modes }: Pick<Adopted, "pid" | "group" | "modes">): ShellJob {
  const before = terminalModes();
  if (modes !== undefined) ttySet(TERMINAL, TTY.TCSETS2, Buffer.from(modes, "base64"));
  setForeground(group);
  return { pid, group, modes: before };
}

export function terminalModes(): string {
  return ttyGet(TERMINAL, TTY.TCGETS2, TERMIOS2_SIZE).toString("base64");
}

export function setTerminalModes(modes: string): void {
  quietly(() => ttySet(TERMINAL, TTY.TCSETS2, Buffer.from(modes, "base64")));
}

/** Puts a process group of this session into the foreground. */
export function setForeground(group: number): void {
  quietly(() => ttySetInt(TERMINAL, TTY.TIOCSPGRP, group));
}

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;

/** Who is in the background would be stopped for touching the terminal, unless SIGTTOU is blocked. */
function quietly(action: () => void): void {
  withStruct(16, (masks, at) => {
    masks.writeBigUInt64LE(1n << BigInt(SIGNAL.SIGTTOU - 1), 0);
    attempt("rt_sigprocmask", SIG_BLOCK, at, at + 8, 8);
    try {
      action();
    } finally {
      attempt("rt_sigprocmask", SIG_SETMASK, at + 8, 0, 8);
    }
  });
}
