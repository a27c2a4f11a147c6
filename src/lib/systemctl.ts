/**
 * What systemd says of units, and what it is asked to do: through systemctl(1), whose output is stable (`systemctl
 * show`, and JSON of its lists).
 */
import { spawnSync } from "node:child_process";
import { failures } from "../errors/catalogue.ts";
import { Defect } from "../errors/wrong-input.ts";
import { isSystemdRunning } from "./systemd-unit.ts";

/** The properties of one unit, by their names in systemctl show; those that systemd does not know are missing. */
export type UnitProperties = ReadonlyMap<string, string>;

/** How long systemctl may take to answer a question, in milliseconds. Starting and stopping units has no such limit. */
const ANSWER_MS = 30_000;

/** Throws a {@link Refusal} on a machine whose init is not systemd (sd_booted(3)). */
export function requireSystemd(purpose: string): void {
  if (isSystemdRunning()) return;
  throw failures.NO_SYSTEMD.purpose({ purpose });
}

/** Runs systemctl; throws when it fails. `limitMs` is how long it may take, in milliseconds; undefined: as long as it likes. */
export function systemctl(args: readonly string[], limitMs: number | undefined = ANSWER_MS): string {
  const run = spawnSync("systemctl", ["--no-pager", "--no-ask-password", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 << 20,
    env: { ...process.env, SYSTEMD_COLORS: "0", LC_ALL: "C" },
    ...(limitMs !== undefined && { timeout: limitMs }),
  });
  if (run.status === 0) return run.stdout;
  const why = run.error?.message ?? lastLine(run.stderr) ?? `It ended with ${run.status ?? run.signal}.`;
  throw failures.SYSTEMCTL_FAILED({ args: args.join(" "), why });
}

function lastLine(text: string): string | undefined {
  return text.trim().split("\n").at(-1) || undefined;
}

/** Starts a unit at once, also in the middle of a boot, and waits for it; throws when that fails. Does nothing when it is active. */
export function startUnit(name: string): void {
  systemctl(["start", "--job-mode=ignore-dependencies", "--", name]);
}

/** Has systemd start a unit in a second, when what stands in its way now has gone; of what becomes of that, nothing is heard. */
export function startUnitSoon(name: string): void {
  const when = ["--on-active=1s", "--timer-property=AccuracySec=100ms"];
  spawnSync("systemd-run", ["--quiet", "--collect", ...when, "systemctl", "start", "--", name], {
    stdio: "ignore",
    timeout: ANSWER_MS,
  });
}

/** Stops a unit and waits for it; throws when that fails. */
export function stopUnit(name: string): void {
  systemctl(["stop", "--job-mode=ignore-dependencies", "--", name], undefined);
}

/** The names of the loaded units of some types that are in a state, such as `active`. */
export function listUnits(types: readonly string[], state: string): string[] {
  const text = systemctl(["list-units", "--full", `--type=${types.join(",")}`, `--state=${state}`, "--output=json"]);
  return (JSON.parse(text) as { unit: string }[]).map(({ unit }) => unit);
}

/** Properties of units, in the order of `units`; a unit that does not exist has LoadState=not-found. */
export function showUnits(units: readonly string[], properties: readonly string[]): UnitProperties[] {
  if (units.length === 0) return [];
  const text = systemctl(["show", `--property=${properties.join(",")}`, "--", ...units]);
  const blocks = parseShow(text);
  if (blocks.length === units.length) return blocks;
  throw new Defect(`systemctl show answered ${blocks.length} blocks for ${units.length} units`);
}

/** Parses the output of systemctl show: NAME=VALUE lines, an empty line between units. */
export function parseShow(text: string): UnitProperties[] {
  return text
    .split("\n\n")
    .filter((block) => block.trim() !== "")
    .map((block) => {
      const properties = new Map<string, string>();
      for (const line of block.split("\n")) {
        const equals = line.indexOf("=");
        if (equals > 0) properties.set(line.slice(0, equals), line.slice(equals + 1));
      }
      return properties;
    });
}
