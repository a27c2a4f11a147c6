/** What a swap would do with each unit that runs: whether it would go along, and what stands in the way. */
import { checkEach } from "../freeze/machine.ts";
import type { CheckOutcome } from "../freeze/check.ts";
import type { FailureSummary } from "../lib/errors.ts";
import { obstaclesOf } from "./obstacles.ts";
import { isProtected, type Protection } from "./protected.ts";
import { activeUnits, type Unit, withDescendants } from "./unit.ts";

/**
 * along: protected, and nothing stands in the way; in-the-way: protected, and something does; anew: not protected, so
 * that it is stopped before and started by the boot; system: part of systemd or of what every boot starts for itself.
 */
export type Verdict = "along" | "in-the-way" | "anew" | "system";

export interface SurveyedUnit {
  readonly unit: Unit;
  /** Scopes of sessions that come with it: those in which descendants of its processes live. */
  readonly scopes: readonly Unit[];
  readonly pids: readonly number[];
  readonly protected: boolean;
  readonly verdict: Verdict;
  /** What stands in the way, whether it is protected or not. */
  readonly obstacles: readonly FailureSummary[];
  readonly notes: readonly string[];
  /** How long its processes stood still for the look, in milliseconds; undefined when nobody looked. */
  readonly pausedMs: number | undefined;
}

/** Services that a boot starts for itself and that hold nothing of their own over it. */
const OF_SYSTEM =
  /^(systemd-.*|dbus|dbus-broker|user@\d+|user-runtime-dir@\d+|getty@.*|serial-getty@.*|console-getty|container-getty@.*|emergency|rescue|kmonte-.*|polkit|networking|NetworkManager|wpa_supplicant|ifup@.*)\.service$/;

export function isOfSystem({ name }: Unit): boolean {
  return OF_SYSTEM.test(name);
}

/** The services and sessions with processes, sessions with the services that they were opened through. */
export function runningUnits(): { readonly unit: Unit; readonly scopes: readonly Unit[] }[] {
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
export function pidsOf({ unit, scopes }: { readonly unit: Unit; readonly scopes: readonly Unit[] }): number[] {
  return [...new Set([unit, ...scopes].flatMap(({ pids }) => pids))].sort((a, b) => a - b);
}

/**
 * Looks at every unit that runs, or with `which` only at the protected ones. Protected units are looked at as one set, as a swap freezes them: what connects two of
 * them stands in nobody's way. The others are looked at one by one.
 */
export async function survey(
  protections: readonly Protection[],
  which: "all" | "protected" = "all",
): Promise<SurveyedUnit[]> {
  const running = runningUnits().map((one) => ({ ...one, all: pidsOf(one) }));
  const units = which === "all" ? running : running.filter(({ unit }) => isProtected(unit.name, protections));
  const chosen = units.filter(({ unit }) => !isOfSystem(unit) && isProtected(unit.name, protections));
  const others = units.filter((one) => !isOfSystem(one.unit) && !chosen.includes(one));
  const sets = [...(chosen.length > 0 ? [chosen.flatMap(({ all }) => all)] : []), ...others.map(({ all }) => all)];
  const outcomes: CheckOutcome[] = [];
  for await (const outcome of checkEach(sets)) outcomes.push(outcome);
  const together = chosen.length > 0 ? outcomes.shift() : undefined;
  const owners = ownersOf(chosen);
  return units.map((one) => {
    const { unit, scopes, all: pids } = one;
    const about = { unit, scopes, pids, protected: chosen.includes(one) };
    if (isOfSystem(unit)) return { ...about, verdict: "system", obstacles: [], notes: [], pausedMs: undefined };
    if (!about.protected) {
      const { refusals, notes, pausedMs } = outcomes[others.indexOf(one)] as CheckOutcome;
      const obstacles = [...[unit, ...scopes].flatMap(obstaclesOf), ...(refusals as FailureSummary[])];
      return { ...about, verdict: "anew", obstacles, notes, pausedMs };
    }
    const { refusals, notes, pausedMs } = together as CheckOutcome;
    const ofProcesses = (refusals as (FailureSummary & { pid?: number })[]).filter(
      ({ pid }) => pid === undefined || (owners.get(pid) ?? unit) === unit,
    );
    const obstacles = [...[unit, ...scopes].flatMap(obstaclesOf), ...ofProcesses];
    return { ...about, verdict: obstacles.length > 0 ? "in-the-way" : "along", obstacles, notes, pausedMs };
  });
}

/** Which of some units each process belongs to. */
function ownersOf(units: readonly { readonly unit: Unit; readonly all: readonly number[] }[]): Map<number, Unit> {
  return new Map(units.flatMap(({ unit, all }) => all.map((pid) => [pid, unit] as const)));
}
