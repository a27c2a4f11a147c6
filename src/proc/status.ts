/** /proc/PID/status (proc_pid_status(5)) and /proc/PID/stat (proc_pid_stat(5)). */

/** The fields of a status file, by name, as text. */
export function parseStatus(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}

export interface ProcessStat {
  readonly pid: number;
  readonly comm: string;
  /** One letter: R, S, D, Z, T, t, X … */
  readonly state: string;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  readonly ttyNr: number;
  readonly tpgid: number;
  readonly flags: number;
  readonly threads: number;
  /** Clock ticks since boot. */
  readonly startTime: number;
  /** Addresses that PR_SET_MM_MAP sets again. */
  readonly startCode: number;
  readonly endCode: number;
  readonly startStack: number;
  readonly startData: number;
  readonly endData: number;
  readonly startBrk: number;
  readonly argStart: number;
  readonly argEnd: number;
  readonly envStart: number;
  readonly envEnd: number;
  /** Status as wait(2) gives it: of use for zombies. */
  readonly exitCode: number;
  readonly exitSignal: number;
}

/** Parses one line of /proc/PID/stat; the command may hold spaces and brackets. */
export function parseStat(text: string): ProcessStat {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const rest = text
    .slice(close + 2)
    .trim()
    .split(" ");
  const at = (field: number): number => Number(rest[field - 3] ?? Number.NaN);
  return {
    pid: Number(text.slice(0, open)),
    comm: text.slice(open + 1, close),
    state: rest[0] ?? "?",
    ppid: at(4),
    pgrp: at(5),
    session: at(6),
    ttyNr: at(7),
    tpgid: at(8),
    flags: at(9),
    threads: at(20),
    startTime: at(22),
    startCode: at(26),
    endCode: at(27),
    startStack: at(28),
    exitSignal: at(38),
    startData: at(45),
    endData: at(46),
    startBrk: at(47),
    argStart: at(48),
    argEnd: at(49),
    envStart: at(50),
    envEnd: at(51),
    exitCode: at(52),
  };
}
