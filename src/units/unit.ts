/** A unit as systemd has it now, and the processes in its control group. */
import { procPath } from "../sys/task.ts";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { failures } from "../errors/catalogue.ts";
import { Refusal } from "../errors/failure.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { cgroupFolder, parseCgroups } from "../proc/cgroup.ts";
import { type Mount, parseMountInfo } from "../proc/mountinfo.ts";
import { childrenOf, findTask, readStat } from "../proc/read.ts";
import { listUnits, showUnits, type UnitProperties } from "../lib/systemctl.ts";

export interface Unit {
  /** Its name with the ending, as systemd calls it (Id=), whatever alias was asked for. */
  readonly name: string;
  readonly description: string;
  readonly loadState: string;
  readonly activeState: string;
  readonly subState: string;
  /** Type= of a service; empty for other units. */
  readonly type: string;
  /** The process that systemd watches for the unit (MainPID=); 0 when there is none. */
  readonly mainPid: number;
  /** The path of its control group; empty when it has none. */
  readonly controlGroup: string;
  /** The processes in its control group and in those below it. */
  readonly pids: readonly number[];
  /** Memory of the control group in bytes, where systemd accounts for it. */
  readonly memory: number | undefined;
  readonly properties: UnitProperties;
}

const PROPERTIES = [
  "Id",
  "Description",
  "LoadState",
  "ActiveState",
  "SubState",
  "Type",
  "MainPID",
  "ControlGroup",
  "MemoryCurrent",
  "Slice",
  "BusName",
  "DefaultDependencies",
  "Before",
  "After",
  "Requires",
  "Requisite",
  "BindsTo",
  "PartOf",
  "StopPropagatedFrom",
  "Wants",
  "TriggeredBy",
  "PIDFile",
  "RuntimeDirectory",
  "User",
  "Group",
  "DynamicUser",
  "PrivateTmp",
  "PrivateNetwork",
  "PrivateIPC",
  "NFileDescriptorStore",
  "RemainAfterExit",
  "FragmentPath",
];

/** Units by their names or patterns of names, loaded or not. Names without an ending are services. */
export function readUnits(names: readonly string[]): Unit[] {
  const full = names.map(fullName);
  for (const name of full) refuseTemplate(name);
  return showUnits(full, PROPERTIES).map(toUnit);
}

/** systemctl show does not take one for a unit. */
function refuseTemplate(name: string): void {
  if (!/@\.[a-z]+$/.test(name)) return;
  throw failures.UNIT_TEMPLATE({ name, pattern: name.replace("@.", "@*.") });
}

/** All units of some types that are active. */
export function activeUnits(types: readonly string[]): Unit[] {
  return readUnits(listUnits(types, "active"));
}

/** `redis-server` as systemctl takes it: redis-server.service. */
export function fullName(name: string): string {
  return /\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$/.test(name)
    ? name
    : `${name}.service`;
}

function toUnit(properties: UnitProperties): Unit {
  const text = (name: string): string => properties.get(name) ?? "";
  const controlGroup = text("ControlGroup");
  const memory = Number(properties.get("MemoryCurrent") ?? Number.NaN);
  return {
    name: text("Id"),
    description: text("Description"),
    loadState: text("LoadState"),
    activeState: text("ActiveState"),
    subState: text("SubState"),
    type: text("Type"),
    mainPid: Number(properties.get("MainPID") ?? 0),
    controlGroup,
    pids: controlGroup === "" ? [] : processesBelow(controlGroup),
    // "[not set]" without accounting, and 2^64 - 1 in old versions.
    memory: Number.isSafeInteger(memory) && memory > 0 ? memory : undefined,
    properties,
  };
}

/** The words of a property that is a list. */
export function wordsOf({ properties }: Unit, property: string): string[] {
  return (properties.get(property) ?? "").split(" ").filter(Boolean);
}

/** Where systemd keeps its units' control groups: a hierarchy of its own, or version 2 (cgroups(7)). */
function systemdHierarchy(mounts: readonly Mount[]): string {
  const own = "name=systemd";
  return cgroupFolder(mounts, own, "/") === undefined ? "" : own;
}

function mountsHere(): Mount[] {
  return parseMountInfo(readFileSync("/proc/thread-self/mountinfo", "utf8"));
}

/** The control group of systemd's that a process is in, such as /system.slice/redis-server.service. */
export function controlGroupOf(pid: number | "self"): string {
  const paths = parseCgroups(readFileSync(procPath(pid === "self" ? pid : findTask(pid), "cgroup"), "utf8"));
  return paths[systemdHierarchy(mountsHere())] ?? "/";
}

/** The folder of a control group; undefined where its hierarchy is not mounted. */
export function folderOfGroup(controlGroup: string): string | undefined {
  const mounts = mountsHere();
  return cgroupFolder(mounts, systemdHierarchy(mounts), controlGroup);
}

/** The processes of a control group and of those below it, lowest id first. */
export function processesBelow(controlGroup: string): number[] {
  const folder = folderOfGroup(controlGroup);
  if (folder === undefined) return [];
  const pids: number[] = [];
  const visit = (path: string): void => {
    const text = orIfGone(() => readFileSync(join(path, "cgroup.procs"), "utf8"), "");
    pids.push(...text.split("\n").filter(Boolean).map(Number));
    for (const entry of orIfGone(() => readdirSync(path, { withFileTypes: true }), []))
      if (entry.isDirectory()) visit(join(path, entry.name));
  };
  visit(folder);
  return pids.sort((a, b) => a - b);
}

/** A process and all its descendants. */
export function withDescendants(pids: readonly number[]): Set<number> {
  const all = new Set<number>();
  const visit = (pid: number): void => {
    if (all.has(pid)) return;
    all.add(pid);
    for (const child of childrenOf(pid)) visit(child);
  };
  for (const pid of pids) visit(pid);
  return all;
}

/**
 * Those of some processes that are there, and whose parents are not among them: the others come along as their
 * descendants. What a service starts for a moment may have ended by the time that it is looked at, and is in nobody's way.
 */
export function rootsAmong(pids: readonly number[]): number[] {
  const all = new Set(pids);
  return [...all].filter((pid) => {
    const stat = readStat(pid);
    return stat !== undefined && stat.state !== "Z" && !all.has(stat.ppid);
  });
}

/** Throws the refusal of {@link notRunning}, if there is one. */
export function requireRunning(unit: Unit, asked: string): void {
  const refusal = notRunning(unit, asked);
  if (refusal) throw refusal;
}

/** Why a name stands for no unit that runs; undefined when it does. `asked` is the name as a person gave it. */
export function notRunning(unit: Unit, asked: string): Refusal | undefined {
  const { name, loadState, activeState, subState, pids } = unit;
  if (loadState === "masked") return failures.UNIT_MASKED({ asked, name });
  if (loadState === "not-found") return failures.NO_SUCH_UNIT.unknown({ asked, name });
  if (loadState !== "loaded") return failures.UNIT_NOT_LOADED({ asked, name, loadState });
  if (activeState === "active" && pids.length > 0) return undefined;
  return failures.UNIT_NOT_RUNNING({ asked, name, activeState, subState, count: pids.length });
}
