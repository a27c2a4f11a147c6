/** What is about to happen to the machine's units, shown and agreed to before anything is done. */
import { createInterface } from "node:readline/promises";
import { setTimeout as delay } from "node:timers/promises";
import { check } from "../freeze/freeze.ts";
import { eachOnce, type HeldNeed } from "../freeze/check/kernel-needs.ts";
import { failures } from "../errors/catalogue.ts";
import { inTheWay } from "../units/obstacles.ts";
import { planUnits, type UnitPlan } from "../units/others.ts";
import { matches, type Protection, readProtections } from "../units/protected.ts";
import { presentRoots, type RunningUnit, runningUnits, survey, type SurveyedUnit } from "../units/survey.ts";
import { requireSystemd } from "../lib/systemctl.ts";
import { notRunning, readUnits } from "../units/unit.ts";
import type { Advice, Warning } from "../errors/failure.ts";
import { requireRoom } from "../swap/room.ts";
import { defaultSwapRoot } from "../swap/store.ts";
import { type Departing, expectPauses, type ExpectedPauses } from "../swap/expected-pause.ts";
import { formatReport, readReports, type SwapReport } from "../swap/report.ts";
import type { Result } from "./json/results.ts";
import { isInTheWay, rerunOutside } from "./outside.ts";
import { describeFindings, formatBytes, lowerFirst, printJson, printLine } from "./output.ts";

export interface PlanOptions {
  /** Show it, and do nothing. */
  readonly plan?: boolean;
  /** Do not ask. */
  readonly yes?: boolean;
  /** Names and patterns of units that are started anew where their thaw fails, while the others go on. */
  readonly tolerate?: readonly string[];
  /** The same, as far as they run. */
  readonly tolerateIfRunning?: readonly string[];
  readonly json?: boolean;
}

export interface Departure {
  /** What happens at its end, such as "power off". */
  readonly purpose: string;
  readonly how: Departing;
  /** What a person should know before. */
  readonly warnings?: readonly Warning[];
  /** What may make it needless. */
  readonly advice?: readonly Advice[];
  /** Throws when what comes then does not have what processes need. */
  readonly requireAble?: (needs: readonly HeldNeed[]) => void;
}

/**
 * The plan for the protected units, once a person or --yes has agreed to it; undefined when it was only to be shown.
 * Throws a {@link RefusalList} when something is in the way.
 */
export async function agreedPlan(
  { purpose, how, warnings = [], advice = [], requireAble }: Departure,
  pids: readonly number[],
  options: PlanOptions,
): Promise<UnitPlan | undefined> {
  requireSystemd(`kmonte, to ${purpose},`);
  if (!options.plan && !options.yes) requireTerminal(purpose);
  const protections = readProtections();
  const running = runningUnits(protections);
  if (isInTheWay(running)) return await agreeOutside(purpose, options);
  requireNamedUnits(protections);
  requireTolerable(options.tolerate ?? [], running);
  const tolerate = options.tolerate ?? options.tolerateIfRunning ?? [];
  const looked = (await survey(running, protections, tolerate)).filter(({ verdict }) => verdict !== "system");
  if (looked.length === 0 && pids.length === 0) throw failures.NOTHING_PROTECTED();
  await refuseObstacles(looked, protections);
  requireRoom(defaultSwapRoot(), [...pids, ...looked.flatMap((one) => one.pids)]);
  const plan = planUnits(looked, pids);
  requireAble?.(await needsOfAll(plan, pids));
  const pauses = expectPauses(plan.along, how);
  if (options.plan && options.json)
    printJson<"swap --plan" | "suspend --plan">({ ...planJson(plan, pauses), warnings, advice });
  else if (!options.json) printPlan(plan, { purpose, how, pauses, warnings, advice });
  if (options.plan) return undefined;
  if (!options.yes) await ask(purpose);
  return plan;
}

/** What a kernel must have to take units, and processes that are named by themselves: these have not been looked at yet. */
async function needsOfAll({ along }: UnitPlan, pids: readonly number[]): Promise<readonly HeldNeed[]> {
  if (pids.length > 0) return (await check([...pids, ...presentRoots(along)])).needs;
  return eachOnce(along.flatMap(({ needs }) => needs));
}

/** A unit that is protected by its name and does not run would be missing without a word. */
function requireNamedUnits(protections: readonly Protection[]): void {
  const names = protections.flatMap(({ pattern }) => (/[*?[]/.test(pattern) ? [] : [pattern]));
  const refusals = readUnits(names).flatMap((unit, i) => notRunning(unit, names[i] as string) ?? []);
  const [first, ...more] = refusals;
  if (first && more.length === 0) throw first;
  if (first) throw failures.UNITS_IN_THE_WAY({ refusals });
}

/** The same from outside of the session that is to be frozen; this process goes along with it. */
async function agreeOutside(purpose: string, options: PlanOptions): Promise<undefined> {
  if (options.plan || !options.yes) {
    const { status } = await rerunOutside(options.plan ? [] : ["--plan"]);
    if (options.plan || status !== 0) return;
    await ask(purpose);
  }
  const { status } = await rerunOutside(options.yes ? [] : ["--yes"]);
  // Another boot: this session has been thawed, and its record with it.
  if (status === undefined && !options.json) printLine(formatReport(await lastReport()).trimEnd());
}

/** The report of the departure that this process went along with, as soon as it says how long that took. */
async function lastReport(): Promise<SwapReport> {
  const end = Date.now() + LONGEST_WAIT_MS;
  let report = readReports()[0];
  while (report.running === undefined && Date.now() < end) {
    await delay(PAUSE_MS);
    report = readReports()[0];
  }
  return report;
}

/** How long the boot may take to write down that the processes run, in milliseconds. */
const LONGEST_WAIT_MS = 60_000;
const PAUSE_MS = 200;

/** A unit that is to be tolerated, and does not go along, is a mistake that somebody wants to hear of. */
function requireTolerable(tolerate: readonly string[], running: readonly RunningUnit[]): void {
  const unknown = tolerate.find((pattern) => !running.some(({ unit }) => matches(unit.name, [pattern])));
  if (unknown === undefined) return;
  throw failures.TOLERATED_NOT_ALONG({ unknown });
}

async function refuseObstacles(looked: readonly SurveyedUnit[], protections: readonly Protection[]): Promise<void> {
  const refusals = inTheWay(looked);
  if (refusals.length === 0) return;
  const isOnlyTolerance =
    looked.some(({ tolerated }) => tolerated) && inTheWay(await survey(looked, protections)).length === 0;
  if (!isOnlyTolerance) throw failures.UNITS_IN_THE_WAY({ refusals });
  throw failures.CANNOT_TOLERATE({ refusals });
}

function planJson(
  { along, stop, kept }: UnitPlan,
  pauses: ExpectedPauses,
): Omit<Result<"swap --plan">, "warnings" | "advice"> {
  const name = ({ name: one }: { readonly name: string }): string => one;
  return {
    along: along.map((one) => ({
      unit: one.unit.name,
      sessions: one.scopes.map(name),
      processes: one.pids,
      tolerated: one.tolerated,
      expectedPauseSeconds: pauses.of(one),
    })),
    stop: stop.map(name),
    kept: kept.map(name),
    pauseBasis: pauses.basis,
  };
}

interface Shown {
  readonly purpose: string;
  readonly how: Departing;
  readonly pauses: ExpectedPauses;
  readonly warnings: readonly Warning[];
  readonly advice: readonly Advice[];
}

function printPlan({ along, stop, kept }: UnitPlan, { purpose, how, pauses, warnings, advice }: Shown): void {
  if (along.length > 0) printLine("Go along:");
  for (const one of along) {
    const { unit, scopes, pids, tolerated } = one;
    const memory = unit.memory === undefined ? "" : `, ${formatBytes(unit.memory)}`;
    const sessions = scopes.length === 0 ? "" : `, with ${scopes.map(({ name }) => name).join(", ")}`;
    printLine(
      `  ${unit.name}: ${pids.length === 1 ? "1 process" : `${pids.length} processes`}${memory}${sessions}, expected pause about ${pauses.of(one)} s`,
    );
    if (tolerated) printLine("    if it alone cannot be thawed, it is started anew, and the others resume");
  }
  const list = (heading: string, units: UnitPlan["stop"]): void => {
    if (units.length > 0) printLine(`${heading}\n  ${units.map(({ name }) => name).join(", ")}`);
  };
  const isScope = ({ name }: { readonly name: string }): boolean => name.endsWith(".scope");
  list(
    "Are stopped by systemd before, and started by the boot if they are enabled:",
    stop.filter((unit) => !isScope(unit)),
  );
  list("Are stopped by systemd before, and no boot starts them again:", stop.filter(isScope));
  list("End with the kernel, because what goes along needs them, or runs in them, or kmonte does:", kept);
  if (along.length > 0) printLine(`How long: ${lowerFirst(pauses.basis)}`);
  if (along.length > 0 && how === "power-off") printLine("The time that the machine is off comes on top of that.");
  for (const line of describeFindings("To know before:", warnings)) printLine(line);
  for (const line of describeFindings("Perhaps without a swap:", advice)) printLine(line);
  printLine(`Then what goes along is frozen, and the machine will ${purpose}.`);
}

function requireTerminal(purpose: string): void {
  if (process.stdin.isTTY && process.stderr.isTTY) return;
  throw failures.USAGE.nobodyAgrees({ purpose });
}

async function ask(purpose: string): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`Go on and ${purpose}? [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  throw failures.INTERRUPTED.declined();
}
