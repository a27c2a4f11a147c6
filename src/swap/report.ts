/** The last swap's timeline, for people and for scripts. */
import { failures } from "../errors/catalogue.ts";
import { phaseOf, type Phase } from "./phases.ts";
import { defaultSwapRoot, type Failure, ownImages, readRecordsApart } from "./store.ts";
import type { SwapRecord, SwapUnit } from "./store.ts";

interface ReportLine {
  readonly step: string;
  readonly seconds: number;
  /** When it began, in seconds after the processes were stopped; negative for what was done before. */
  readonly after: number;
  readonly phase?: Phase | undefined;
}

export interface SwapReport extends SwapRecord {
  /** How long the processes stood still; undefined while they still do. */
  readonly gapSeconds: number | undefined;
  /** How long of that no process of this machine ran, as one kernel ended and another started. */
  readonly kernelSeconds: number | undefined;
  readonly lines: ReportLine[];
  readonly units?: ReportedUnit[] | undefined;
}

export type ReportedUnit = SwapUnit & {
  /** How long it stood still, from the stop of its first process until its last one went on. */
  readonly pauseSeconds?: number;
};

/** Of all swaps on record, the last one first; there is one at least. */
export function readReports(root: string = defaultSwapRoot()): [SwapReport, ...SwapReport[]] {
  const { records, broken } = readRecordsApart(root);
  const newest = records.at(-1);
  // An older one that cannot be read is not missed.
  const inTheWay = broken.find(({ id }) => newest === undefined || id > newest.id);
  if (inTheWay) throw inTheWay.error;
  if (newest) return [reportOf(newest), ...records.slice(0, -1).toReversed().map(reportOf)];
  throw failures.NO_SWAP_YET({ root });
}

export function reportOf(record: SwapRecord): SwapReport {
  const { steps, stopped, running, attempts = [] } = record;
  const tried = attempts.some(({ failure }) => failure !== undefined);
  const lines = steps.map((step) => ({
    step: step.step,
    seconds: round(step.end - step.start),
    after: round(step.start - stopped),
    // Up to the kernel that stayed, whatever ran before it.
    phase: tried && step.step === "kexec" ? ("back" as const) : phaseOf(step, stopped),
  }));
  const gap = running === undefined ? undefined : round(running - stopped);
  const own = lines.filter(({ phase }) => phase === "kernel").reduce((sum, { seconds }) => sum + seconds, 0);
  const kernel = running === undefined ? undefined : round(own * 1000);
  const noted = record.units?.map((unit): ReportedUnit => {
    const pauseSeconds = pauseOf(unit);
    return { ...unit, ...(pauseSeconds !== undefined && { pauseSeconds }) };
  });
  return { ...record, gapSeconds: gap, kernelSeconds: kernel, lines, ...(noted && { units: noted }) };
}

/** The report as text, one step per line. */
export function formatReport(report: SwapReport): string {
  const width = Math.max(...report.lines.map(({ step }) => step.length));
  const lines = report.lines.map(
    ({ step, seconds, after }) => `  ${step.padEnd(width)}  ${at(after)}  ${seconds.toFixed(2).padStart(7)} s`,
  );
  return [
    headline(report),
    ...lines,
    ...tries(report),
    ...outcome(report),
    ...notes(report),
    ...units(report),
    "",
  ].join("\n");
}

function notes({ notes: told = [] }: SwapReport): string[] {
  return told.map((note) => `  note: ${note}`);
}

/** Lines for each unit: how it is since the boot, and its pause. */
function units({ units: members = [] }: SwapReport): string[] {
  const width = Math.max(...members.map(({ name }) => name.length));
  return members.flatMap((unit) => {
    const { name, mainPid, after, processes, failure } = unit;
    const seconds = pauseOf(unit);
    const pause = seconds === undefined ? "" : `, paused for ${seconds.toFixed(2)} s`;
    const main = !mainPid ? `${processes.length} processes` : mainProcess(mainPid, after?.mainPid);
    const line = `  ${name.padEnd(width)}  was active, is ${after?.activeState ?? "not handed over yet"}, ${main}${pause}`;
    return failure ? [line, ...anew(unit, failure)] : [line];
  });
}

/** Seconds from the stop of a unit's first process until its last one resumed; undefined when it did not. */
function pauseOf({ stopped, running }: SwapUnit): number | undefined {
  return stopped === undefined || running === undefined ? undefined : round(running - stopped);
}

function anew({ name, directory }: SwapUnit, { code, what, why = "", remedy }: Failure): string[] {
  const text = [`${what} [${code}]`, ...why.split("\n").filter(Boolean), ...(remedy === undefined ? [] : [remedy])];
  return [
    "    started anew, as its processes could not be thawed:",
    ...text.map((line) => `      ${line}`),
    `      Their image is whole. To have them as they were: systemctl stop ${name}; kmonte thaw ${directory}`,
  ];
}

function mainProcess(before: number, now: number | undefined): string {
  return now === undefined || now === before ? `main process ${before}` : `main process was ${before}, is ${now}`;
}

function headline({ from, to, arrived, processes }: SwapReport): string {
  const way =
    arrived === undefined || arrived === to ? `${from} → ${to}` : `${from} → ${to}, but came up with ${arrived}`;
  return `Linux ${way}, ${processes.length} ${processes.length === 1 ? "process" : "processes"}`;
}

/** What was tried and did not do; where all went well there is nothing to say. */
function tries({ attempts = [] }: SwapReport): string[] {
  return attempts.flatMap(({ kernel, failure, back }) => {
    if (!failure) return [];
    const why = (failure.why ?? "").split("\n").filter(Boolean);
    const way = back === undefined ? [] : [`went back ${back === "kexec" ? "by kexec" : "through the firmware"}`];
    return [`  tried on ${kernel}: ${failure.what}`, ...[...why, ...way].map((line) => `    ${line}`)];
  });
}

function outcome(report: SwapReport): string[] {
  const { gapSeconds, failure, directory, state } = report;
  if (state === "trial") return ["  running; whether all is well is not known yet"];
  if (gapSeconds !== undefined) return [`  paused for ${gapSeconds.toFixed(2)} s`];
  if (!failure) return ["  not running yet"];
  const text = [failure.what, failure.why, failure.remedy].filter((line) => line !== undefined);
  const places = [...(directory === undefined ? [] : [directory]), ...ownImages(report).keys()];
  const services = (report.units ?? []).filter(({ mainPid }) => mainPid !== undefined).map(({ name }) => name);
  const way = `To have them as they were: systemctl stop ${services.join(" ")}; kmonte thaw DIRECTORY`;
  return [
    "  not running again:",
    ...text.map((line) => `    ${line}`),
    `    The images are whole, in ${places.join(", ")}`,
    ...(services.length > 0 ? ["    systemd has started the units anew.", `    ${way}`] : []),
  ];
}

function at(seconds: number): string {
  return `${seconds < 0 ? "" : "+"}${seconds.toFixed(2)}`.padStart(9);
}

function round(milliseconds: number): number {
  return Math.round(milliseconds) / 1000;
}
