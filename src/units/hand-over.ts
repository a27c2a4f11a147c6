/**
 * Giving thawed processes back to systemd. For the boot that thaws them, each unit has a drop-in whose ExecStart= is
 * hand-over.sh: it moves the processes into the unit's control group and tells systemd which is the main one. The
 * drop-ins lie in /etc/systemd/system, as systemd reads its units before other file systems are mounted; when the units
 * are active, they are removed, and the units are again as they were (docs/decisions/0016-handing-units-back.md).
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmonteError } from "../lib/errors.ts";
import { projectFile } from "../lib/program-files.ts";
import { orIfGone } from "../lib/gone.ts";
import { UNIT_DIRECTORY, unitArgument } from "../lib/systemd-unit.ts";
import { syncDirectory } from "../lib/sync-directory.ts";
import { reloadUnits } from "./others.ts";
import { giveScope } from "./scope.ts";
import type { SurveyedUnit } from "./survey.ts";
import { systemctl } from "./systemctl.ts";
import { controlGroupOf, readUnits } from "./unit.ts";

/** The drop-in's name. */
export const DROP_IN = "50-kmonte-hand-over.conf";
/** What hand-over.sh reads, a file for each unit. */
const THAWED_DIRECTORY = "/run/kmonte/hand-over";
const SCRIPT = projectFile("systemd/hand-over.sh");

/**
 * How long units have to take their processes, in milliseconds, once the boot has started all that it starts: half of
 * what kmonte-hand-over.service has.
 */
const LONGEST_WAIT_MS = 300_000;
const PAUSE_MS = 200;

/** A unit as a swap's record keeps it. */
export interface MemberUnit {
  readonly name: string;
  /** Its main process, 0 where systemd knows none; undefined for the scope of a session. */
  readonly mainPid?: number | undefined;
  readonly description: string;
  readonly slice: string;
  /** Its processes, with their control groups below the unit's: "" for the unit's own. */
  readonly processes: readonly { readonly pid: number; readonly group: string }[];
}

/** The units of processes that are held by a freeze, as their control groups tell. */
export function membersOf(along: readonly SurveyedUnit[], pids: ReadonlySet<number>): MemberUnit[] {
  const groups = new Map([...pids].map((pid) => [pid, groupOrNone(pid)]));
  return readUnits(along.flatMap(({ unit, scopes }) => [unit, ...scopes].map(({ name }) => name))).map((unit) => {
    const { name, controlGroup, mainPid, description, properties } = unit;
    const outside = unit.pids.find((pid) => !pids.has(pid));
    if (outside !== undefined) throw changed(name, `Process ${outside} was started in it since.`);
    const isService = name.endsWith(".service");
    if (isService && mainPid > 0 && !pids.has(mainPid)) throw changed(name, `Its main process is ${mainPid} now.`);
    const processes = [...groups].flatMap(([pid, group]) => {
      const below = group === controlGroup ? "" : group.slice(controlGroup.length);
      return group === controlGroup || group.startsWith(`${controlGroup}/`) ? [{ pid, group: below }] : [];
    });
    const slice = properties.get("Slice") ?? "";
    return { name, description, slice, processes, ...(isService && { mainPid }) };
  });
}

function groupOrNone(pid: number): string {
  return orIfGone(() => controlGroupOf(pid), "");
}

function changed(unit: string, why: string): KmonteError {
  return new KmonteError("UNIT_CHANGED", {
    what: `${unit} is not as it was looked at; everything goes on as before.`,
    why,
    remedy: "Try again when it does not restart or start processes.",
  });
}

/**
 * The text of the drop-in. `script` is the path of hand-over.sh. Without a main process, systemd takes the unit for a
 * daemon that has forked: it watches the processes that are in the control group when the script has ended.
 */
export function dropInText(script: string, hasMain: boolean): string {
  return `# Written by kmonte for one boot, in which this unit's processes are thawed and not started.
[Unit]
After=kmonte-thaw.service
# An empty one takes all conditions and assertions back.
ConditionPathExists=
AssertPathExists=

[Service]
Type=${hasMain ? "notify" : "forking"}
NotifyAccess=all
ExecCondition=
ExecStartPre=
ExecStart=
ExecStart=+/bin/sh ${unitArgument(script)} %n
ExecStartPost=
PIDFile=
TimeoutStartSec=infinity
# It came along, with what is in it and its owners.
RuntimeDirectory=
`;
}

/** The drop-ins that {@link prepareHandOver} writes for units. */
export function dropInsOf(units: readonly MemberUnit[]): string[] {
  return units.filter(({ mainPid }) => mainPid !== undefined).map(({ name }) => dropInOf(name));
}

function dropInOf(unit: string): string {
  return join(UNIT_DIRECTORY, `${unit}.d`, DROP_IN);
}

/** Has the next boot hand the processes over; on disk when it returns. */
export function prepareHandOver(units: readonly MemberUnit[]): void {
  for (const { name, mainPid } of units) {
    if (mainPid === undefined) continue;
    const path = dropInOf(name);
    const directory = dirname(path);
    mkdirSync(directory, { recursive: true });
    writeFileSync(path, dropInText(SCRIPT, mainPid > 0), { flush: true });
    syncDirectory(directory);
  }
  syncDirectory(UNIT_DIRECTORY);
}

/** Takes the drop-ins away: the units' next start is their own. Says whether there were any. */
export function removeHandOver(): boolean {
  const directories = orIfGone(() => readdirSync(UNIT_DIRECTORY), [])
    .filter((name) => name.endsWith(".d"))
    .map((name) => join(UNIT_DIRECTORY, name))
    .filter((directory) => existsSync(join(directory, DROP_IN)));
  for (const directory of directories) {
    rmSync(join(directory, DROP_IN), { force: true });
    if (readdirSync(directory).length === 0) rmdirSync(directory);
  }
  return directories.length > 0;
}

/** The units' processes run: hand-over.sh, which may be waiting for that, tells systemd. */
export function announceThawed(units: readonly MemberUnit[]): void {
  mkdirSync(THAWED_DIRECTORY, { recursive: true, mode: 0o755 });
  for (const { name, mainPid, processes } of units) {
    if (mainPid === undefined) continue;
    const path = join(THAWED_DIRECTORY, name);
    const lines = [String(mainPid), ...processes.map(({ pid, group }) => `${pid} ${group}`.trim())];
    writeFileSync(`${path}.new`, `${lines.join("\n")}\n`, { mode: 0o644 });
    // Its reader waits for the name.
    renameSync(`${path}.new`, path);
  }
}

/** What became of a unit after the boot. */
export interface HandedOver {
  readonly name: string;
  readonly activeState: string;
  readonly mainPid: number;
}

/**
 * When the boot has started what it starts: starts units that nothing else did, waits until all have their processes,
 * takes the drop-ins away, and gives sessions scopes of their own again.
 */
export async function finishHandOver(units: readonly MemberUnit[]): Promise<HandedOver[]> {
  const services = units.filter(({ mainPid }) => mainPid !== undefined).map(({ name }) => name);
  if (services.length > 0) systemctl(["start", "--no-block", "--", ...services]);
  const end = Date.now() + LONGEST_WAIT_MS;
  const settled = (): boolean =>
    readUnits(services).every(({ activeState }) => activeState !== "activating" && activeState !== "inactive");
  while (!settled() && Date.now() < end) await delay(PAUSE_MS);
  if (removeHandOver()) reloadUnits();
  // Whoever still waits for its turn is to find what it looks for.
  if (settled()) rmSync(THAWED_DIRECTORY, { recursive: true, force: true });
  for (const unit of units) if (unit.mainPid === undefined) giveScope(unit);
  return readUnits(units.map(({ name }) => name)).map(({ name, activeState, mainPid }) => ({
    name,
    activeState,
    mainPid,
  }));
}
