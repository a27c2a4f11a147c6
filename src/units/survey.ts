/** What a swap would do with each unit that runs: whether it would go along, and what stands in the way. */
import { checkEach } from "../freeze/check/machine.ts";
import type { HeldNeed } from "../freeze/check/kernel-needs.ts";
import type { CheckOutcome } from "../freeze/check/check.ts";
import type { FailureObject } from "../errors/failure.ts";
import { obstaclesOf } from "./obstacles.ts";
import { isProtected, matches, type Protection } from "./protected.ts";
import { activeUnits, processesBelow, rootsAmong, type Unit, withDescendants } from "./unit.ts";

/**
 * along: protected, and nothing stands in the way; in-the-way: protected, and something does; anew: not protected, so
 * that it is stopped before and started by the boot, if it is enabled; ends: a session or another scope that is not
 * protected, which no boot starts; system: part of systemd or of what every boot starts for itself.
 */
export type Verdict = "along" | "in-the-way" | "anew" | "ends" | "system";

export interface SurveyedUnit extends RunningUnit {
  readonly pids: readonly number[];
  readonly protected: boolean;
  /** Frozen as a set of its own, so that its thaw may fail without the others'. */
  readonly tolerated: boolean;
  readonly verdict: Verdict;
  /** What stands in the way, whether it is protected or not. */
  readonly obstacles: readonly FailureObject[];
  readonly notes: readonly string[];
  /** What a kernel must have been built with to take what was looked at together with it; empty when nobody looked. */
  readonly needs: readonly HeldNeed[];
  /** How long its processes stood still for the look, in milliseconds; undefined when nobody looked. */
  readonly pausedMs: number | undefined;
}

/**
 * Services that a boot starts for itself and that hold nothing of their own over it. Dracut's, when it is stopped, unpacks
 * the initramfs into memory for a shutdown, which a swap is not.
 */
const OF_SYSTEM =
  /^(systemd-.*|dbus|dbus-broker|user@\d+|user-runtime-dir@\d+|getty@.*|serial-getty@.*|console-getty|container-getty@.*|emergency|rescue|kmonte-.*|polkit|networking|NetworkManager|wpa_supplicant|ifup@.*|dracut-shutdown)\.service$/;

export function isOfSystem({ name }: Unit): boolean {
  return OF_SYSTEM.test(name);
}

/** A unit with processes, and the sessions that were opened through it. */
export interface RunningUnit {
  readonly unit: Unit;
  readonly scopes: readonly Unit[];
}

/** The services and sessions with processes: all, or only those that one of the protections stands for. */
export function runningUnits(only?: readonly Protection[]): RunningUnit[] {
  const found = servicesAndSessions();
  return only ? found.filter(({ unit }) => isProtected(unit.name, only)) : found;
}

function servicesAndSessions(): RunningUnit[] {
  const units = activeUnits(["service", "scope"]).filter(({ pids }) => pids.length > 0);
  const services = units.filter(({ name }) => name.endsWith(".service"));
  const scopes = units.filter(({ name }) => name.endsWith(".scope") && name !== "init.scope");
  const taken = new Set<Unit>();
  const withScopes = services.map((unit) => {
    const family = isOfSystem(unit) ? new Set<number>() : withDescendants(unit.pids);
    const own = scopes.filter((scope) => scope.pids.some((pid) => family.has(pid)));
    for (const scope of own) taken.add(scope);
    return { unit, scopes: own };
  });
  return [...withScopes, ...scopes.filter((scope) => !taken.has(scope)).map((unit) => ({ unit, scopes: [] }))];
}

/** All processes of a unit and of the sessions that come with it. */
export function pidsOf({ unit, scopes }: RunningUnit): number[] {
  return [...new Set([unit, ...scopes].flatMap(({ pids }) => pids))].sort((a, b) => a - b);
}

/** The processes that units have now, not when they were surveyed. */
export function presentPids(along: readonly SurveyedUnit[]): number[] {
  const units = along.flatMap(({ unit, scopes }) => [unit, ...scopes]);
  return units.flatMap(({ controlGroup }) => processesBelow(controlGroup));
}

/** What is to be frozen for units to go along: the roots of the processes that they have now. */
export function presentRoots(along: readonly SurveyedUnit[]): number[] {
  return rootsAmong(presentPids(along));
}

/**
 * Looks at units that run. Protected ones are looked at as one set, as a departure freezes them: what connects two of them
 * stands in nobody's way. Those of them that a name or pattern of `tolerate` stands for, and those that do not go along,
 * are looked at one by one.
 */
export async function survey(
  units: readonly RunningUnit[],
  protections: readonly Protection[],
  tolerate: readonly string[] = [],
): Promise<SurveyedUnit[]> {
  const running = units
    .map((one) => ({ ...one, pids: pidsOf(one), protected: isProtected(one.unit.name, protections) }))
    .map((one) => ({ ...one, tolerated: one.protected && matches(one.unit.name, tolerate) }));
  const looked = running.filter(({ unit }) => !isOfSystem(unit));
  const together = looked.filter((one) => one.protected && !one.tolerated);
  const alone = looked.filter((one) => !together.includes(one));
  const groups = [...(together.length > 0 ? [together] : []), ...alone.map((one) => [one])];
  const outcomes = await lookAtEach(groups.map((group) => rootsAmong(group.flatMap(({ pids }) => pids))));
  return running.map((one): SurveyedUnit => {
    const group = groups.findIndex((members) => members.includes(one));
    const outcome = outcomes[group];
    if (!outcome) return { ...one, verdict: "system", obstacles: [], notes: [], needs: [], pausedMs: undefined };
    const { notes, needs, pausedMs } = outcome;
    const obstacles = [
      ...[one.unit, ...one.scopes].flatMap(obstaclesOf),
      ...refusalsFor(one, groups[group] ?? [], outcome),
    ];
    const unprotected = one.unit.name.endsWith(".scope") ? "ends" : "anew";
    const verdict = !one.protected ? unprotected : obstacles.length > 0 ? "in-the-way" : "along";
    return { ...one, verdict, obstacles, notes, needs, pausedMs };
  });
}

async function lookAtEach(sets: readonly (readonly number[])[]): Promise<CheckOutcome[]> {
  const outcomes: CheckOutcome[] = [];
  for await (const outcome of checkEach(sets)) outcomes.push(outcome);
  return outcomes;
}

interface Member {
  readonly unit: Unit;
  readonly pids: readonly number[];
}

/** Of what a look at a set has found, what is of this unit or of none. */
function refusalsFor({ unit }: Member, set: readonly Member[], { refusals }: CheckOutcome): FailureObject[] {
  const owners = new Map(set.flatMap((one) => one.pids.map((pid) => [pid, one.unit] as const)));
  return refusals.filter(({ pid }) => pid === undefined || (owners.get(pid) ?? unit) === unit);
}
