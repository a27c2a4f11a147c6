/** What a record says of a swap, in words: for the page and the metrics. */
import { STEP_MEANINGS } from "../lib/step-meanings.ts";
import type { Connection } from "../swap/store.ts";
import type { ReportedUnit, SwapReport } from "../swap/report.ts";

/**
 * What became of a unit: its processes went on, systemd started it anew, it has ended since, it came back neither way, or
 * it is not known yet.
 */
export type Fate = "resumed" | "started anew" | "ended" | "did not come back" | "waits";

export function fateOf({ failure, running, after, mainPid }: ReportedUnit, { state }: SwapReport): Fate {
  if (failure) return "started anew";
  if (running === undefined) {
    if (state !== "failed") return "waits";
    return mainPid === undefined ? "did not come back" : "started anew";
  }
  if (!after) return "resumed";
  if (after.activeState !== "active") return "ended";
  return mainPid === undefined || after.mainPid === mainPid ? "resumed" : "started anew";
}

/** Tries at which it was not to stay; where all went well there is none. */
export function failedTries({ attempts = [] }: SwapReport): NonNullable<SwapReport["attempts"]> {
  return attempts.filter(({ failure }) => failure !== undefined);
}

/** The processes run on the kernel that they came from, as another one did not do. */
export function wentBack(report: SwapReport): boolean {
  const { kind, arrived, to, running } = report;
  return kind === undefined && running !== undefined && arrived !== to && failedTries(report).length > 0;
}

/** How it ended, in a word or two; `well` where all is as it was meant to be. */
export function verdict(report: SwapReport): { readonly word: string; readonly well: boolean } {
  const { state, units = [] } = report;
  if (state === "pending") return { word: "waits for a boot", well: false };
  if (state === "failed") return { word: "failed", well: false };
  if (state === "trial") return { word: "on trial", well: false };
  if (wentBack(report)) return { word: "went back", well: false };
  const lost = units.filter((unit) => fateOf(unit, report) !== "resumed").length;
  return lost === 0 ? { word: "done", well: true } : { word: `done without ${count(lost, "unit")}`, well: false };
}

/** The result in one sentence. */
export function headline(report: SwapReport): string {
  const { state, gapSeconds } = report;
  const who = subject(report);
  if (state === "failed" && gapSeconds === undefined) return failedLine(report, who);
  if (gapSeconds === undefined)
    return `${who.name} ${who.many ? "are" : "is"} paused, and ${who.many ? "wait" : "waits"} for the next boot`;
  const back = wentBack(report) ? `Linux ${report.to} did not do: back on ${report.arrived ?? report.from}, ` : "";
  const still = `${who.kept} ${who.many ? "were" : "was"} paused for ${duration(longest(report, gapSeconds))}`;
  const trial = state === "trial" ? "; whether all is well is not known yet" : `; ${lossLine(report, who)}`;
  return back + still + trial;
}

interface Subject {
  /** All of them, as a sentence begins. */
  readonly name: string;
  readonly many: boolean;
  /** Those of them that went on. */
  readonly kept: string;
}

function subject(report: SwapReport): Subject {
  const { units = [], processes } = report;
  const [all, word] =
    units.length > 0 ? [units.map(({ name }) => name), "unit"] : [processes.map(({ command }) => command), "process"];
  const name = count(all.length, word);
  const kept = units.filter((unit) => fateOf(unit, report) !== "started anew").length;
  return {
    name,
    many: all.length !== 1,
    kept: kept === all.length || units.length === 0 ? name : `${kept} of ${name}`,
  };
}

function failedLine({ units = [] }: SwapReport, { name, many }: Subject): string {
  const services = units.some(({ mainPid }) => mainPid !== undefined);
  const anew = services ? ` and ${many ? "were" : "was"} started anew` : "";
  return `${name} did not come back${anew}; ${many ? "their" : "its"} memory is kept on disk`;
}

function lossLine(report: SwapReport, { many }: Subject): string {
  const { units = [] } = report;
  const lost = units.filter((unit) => fateOf(unit, report) !== "resumed");
  if (lost.length === 0) return many ? "none was lost" : "it was not lost";
  const told = (fate: Fate, text: (many: boolean) => string): string[] => {
    const names = lost.filter((unit) => fateOf(unit, report) === fate).map(({ name }) => name);
    if (names.length === 0) return [];
    return [`${names.length > 3 ? count(names.length, "unit") : list(names)} ${text(names.length > 1)}`];
  };
  return [
    ...told("started anew", (some) => `${some ? "were" : "was"} started anew`),
    ...told("ended", (some) => `${some ? "have" : "has"} ended since`),
  ].join(", ");
}

/** The longest pause of any unit. */
function longest({ units = [] }: SwapReport, gapSeconds: number): number {
  return (
    Math.max(...units.flatMap(({ pauseSeconds = [] }) => pauseSeconds), units.length > 0 ? 0 : gapSeconds) || gapSeconds
  );
}

export function count(number: number, word: string): string {
  const plural = word.endsWith("s") ? `${word}es` : `${word}s`;
  return `${number.toLocaleString("en")} ${number === 1 ? word : plural}`;
}

function list(names: readonly string[]): string {
  return new Intl.ListFormat("en").format(names);
}

/** `0.42 s`, `12.3 s`, `90 s`, `3 min 20 s`: as exact as it matters. */
export function duration(seconds: number): string {
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min${rest > 0 ? ` ${rest} s` : ""}`;
}

/** How long the other end of a connection that came along was not heard from, counted from the stop of its unit. */
export function silenceOf({ unit, heard }: Connection, { units = [], stopped }: SwapReport): number | undefined {
  if (heard === undefined) return undefined;
  return (heard - (units.find(({ name }) => name === unit)?.stopped ?? stopped)) / 1000;
}

export function explain(step: string, report: SwapReport): string | undefined {
  const { kind } = report;
  if (step === "kexec" && failedTries(report).length > 0) return "up to the kernel that stayed; another one ran before";
  if (step === "kexec" && kind === "suspend") return "the machine is off, or restarts";
  if (step.startsWith("freeze ")) return "this unit is written to disk by itself";
  if (step.startsWith("thaw ")) return "this unit resumes by itself";
  return STEP_MEANINGS[step];
}
