/** Judges from the evidence whether programs came through the swap as if nothing had happened. Pure. */
import { createHash } from "node:crypto";
import type { Evidence, SeenProcess } from "./evidence.ts";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen, with numbers. */
  readonly detail: string;
}

export function judge(before: Evidence, after: Evidence): Check[] {
  return [
    judgeProcesses(before.processes, after.processes),
    zombie(before, after),
    numbering(before, after),
    ...clocks(after),
    waits(after),
    hashing(before, after),
    counter(before, after),
    pipe(before, after),
    silence(after),
  ];
}

const place = ({ pid, name, command, parent, group, session }: SeenProcess) =>
  JSON.stringify([pid, name, command, parent, group, session]);

/** The shell's `sleep 1` comes and goes, and so does a child of redis's that saves; whoever else was there must be there, in the same place. */
export function judgeProcesses(before: readonly SeenProcess[], after: readonly SeenProcess[]): Check {
  const lasting = before.filter(({ command }) => command !== "sleep 1" && !command.startsWith("redis-rdb-bgsave"));
  const now = new Map(after.map((one) => [one.pid, one]));
  const changed = lasting.flatMap((one) => {
    const is = now.get(one.pid);
    return is && place(is) === place(one) ? [] : [`${place(one)} → ${is ? place(is) : "gone"}`];
  });
  const detail =
    changed.length === 0
      ? `${lasting.length} processes: same pid, parent, group, session and command`
      : changed.join(", ");
  return { name: "same processes", ok: changed.length === 0 && lasting.length > 0, detail };
}

const dead = (evidence: Evidence) => evidence.processes.filter(({ state }) => state === "Z");

function zombie(before: Evidence, after: Evidence): Check {
  const [was] = dead(before);
  const is = dead(after).find(({ pid }) => pid === was?.pid);
  const ok = was !== undefined && is !== undefined && was.exit === is.exit && is.exit === 7 << 8;
  return { name: "zombie", ok, detail: is ? `pid ${is.pid}, exit status ${is.exit >> 8}` : "it is gone" };
}

interface Line {
  readonly number: number;
  readonly monotonic: number;
  readonly boottime: number;
  readonly realtime: number;
}

/** Clocks in seconds. */
function parseLines(text: string): Line[] {
  return rows(text).map(([number, , ...stamps]) => {
    const [monotonic = 0, boottime = 0, realtime = 0] = stamps.map((stamp) => Number(stamp) / 1e9);
    return { number: Number(number), monotonic, boottime, realtime };
  });
}

function numbering(before: Evidence, after: Evidence): Check {
  const numbers = parseLines(after.lines).map(({ number }) => number);
  return unbroken("numbered lines", numbers, rows(before.lines).length);
}

function pipe(before: Evidence, after: Evidence): Check {
  const numbers = rows(after.numbers).map(([number]) => Number(number));
  return unbroken("data in the pipe", numbers, rows(before.numbers).length);
}

/** 1, 2, 3 … without a gap or a repetition, and going on after the swap. */
function unbroken(name: string, numbers: readonly number[], earlier: number): Check {
  const wrong = numbers.findIndex((number, index) => number !== index + 1);
  if (wrong !== -1) return { name, ok: false, detail: `${numbers[wrong]} follows ${wrong}` };
  return { name, ok: numbers.length > earlier, detail: `1 to ${numbers.length} unbroken, ${earlier} before the swap` };
}

const seconds = (value: number) => `${value.toFixed(3)} s`;

/**
 * By how much boottime is ahead of monotonic: the least of all, as boottime is read last, and a thread that is put aside
 * in between only makes it more.
 */
function leastLead(lines: readonly { readonly monotonic: number; readonly boottime: number }[]): number {
  return Math.min(...lines.map(({ monotonic, boottime }) => boottime - monotonic));
}

/** No clock goes back, and those that count from the boot do not count the time in which nothing ran. */
function clocks(after: Evidence): Check[] {
  const lines = parseLines(after.lines);
  const steps = lines.slice(1).map((line, index) => {
    const last = lines[index] ?? line;
    return {
      monotonic: line.monotonic - last.monotonic,
      boottime: line.boottime - last.boottime,
      realtime: line.realtime - last.realtime,
    };
  });
  if (steps.length === 0) return [{ name: "clocks", ok: false, detail: "no lines" }];
  const gap = steps.reduce((longest, step) => (step.realtime > longest.realtime ? step : longest));
  const forward = (clock: keyof typeof gap): Check => {
    const smallest = Math.min(...steps.map((step) => step[clock]));
    const detail = `${seconds(gap[clock])} across the gap, never back`;
    return {
      name: `${clock} clock`,
      ok: smallest >= 0,
      detail: smallest >= 0 ? detail : `back by ${seconds(-smallest)}`,
    };
  };
  // A line's clocks are read one after the other, and the thread may be put aside in between: so not line by line.
  const cut = steps.indexOf(gap) + 1;
  const apart = Math.abs(leastLead(lines.slice(0, cut)) - leastLead(lines.slice(cut)));
  const agree = apart < 0.01 && gap.monotonic < gap.realtime;
  const detail = `monotonic and boottime moved apart by ${seconds(apart)} over a gap of ${seconds(gap.realtime)}`;
  return [forward("monotonic"), forward("boottime"), forward("realtime"), { name: "clocks agree", ok: agree, detail }];
}

function waits(after: Evidence): Check {
  const [first] = after.complaints.split("\n");
  return {
    name: "no wait cut short",
    ok: !first,
    detail: first || "sleeps, polls and timed waits took their full time",
  };
}

/** The chain of hashes is computed anew: one wrong bit anywhere and nothing after it fits. */
function hashing(before: Evidence, after: Evidence): Check {
  const name = "hashes";
  const seen = rows(after.hashes);
  let block = Buffer.alloc(16384);
  let rounds = 0;
  for (const [count, hash] of seen) {
    for (; rounds < Number(count); rounds++) block = Buffer.alloc(16384, createHash("sha256").update(block).digest());
    if (block.toString("hex", 0, 32) !== hash) return { name, ok: false, detail: `round ${count} is wrong` };
  }
  const earlier = rows(before.hashes).length;
  return { name, ok: seen.length > earlier, detail: `${rounds} rounds computed anew, all equal` };
}

function counter(before: Evidence, after: Evidence): Check {
  const replies = rows(after.replies).map(([reply]) => Number(reply));
  const last = replies.at(-1) ?? 0;
  const rising = replies.every((reply, index) => index === 0 || reply > (replies[index - 1] ?? 0));
  const goesOn = replies.length > rows(before.replies).length;
  const detail = `${replies.length} replies up to ${last}, counter at ${after.counter}`;
  return { name: "counter", ok: rising && goesOn && after.counter >= last, detail };
}

function silence(after: Evidence): Check {
  const said = after.logs.trim();
  return { name: "no complaints", ok: said === "", detail: said || "no program reported anything" };
}

/** Whole lines, split at blanks; a last line that is still being written does not count. */
function rows(text: string): string[][] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split(" "));
}
