/**
 * Giving thawed processes back to systemd. For the boot that thaws them, each unit has a drop-in whose ExecStart= is
 * hand-over.sh: it moves the processes into the unit's control group and tells systemd which is the main one. The
 * drop-ins lie in /etc/systemd/system, as systemd reads its units before other file systems are mounted; when the units
 * are active, they are removed, and the units are again as they were (docs/decisions/0016-handing-units-back.md).
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { findTask } from "../proc/read.ts";
import { procPath } from "../sys/task.ts";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { failures } from "../errors/catalogue.ts";
import { projectFile } from "../lib/program-files.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { HAND_OVER_DROP_IN, UNIT_DIRECTORY, unitArgument } from "../lib/systemd-unit.ts";
import { syncDirectory } from "../lib/sync-directory.ts";
import { tellStartTimes } from "./containers.ts";
import { type DynamicUser, dynamicUsersOf, releaseUsers } from "./dynamic-users.ts";
import { type LoginFile, loginFilesOf, tellLogind } from "./logind.ts";
import { type MachineMount, rootMountsOf } from "./machine-mounts.ts";
import { type Machine, machineOf } from "./machined.ts";
import { reloadUnits } from "./others.ts";
import { adoptPrivateTmp } from "./private-tmp.ts";
import { giveScope } from "./scope.ts";
import type { SurveyedUnit } from "./survey.ts";
import { systemctl } from "../lib/systemctl.ts";
import { controlGroupOf, readUnits, type Unit } from "./unit.ts";

/** What hand-over.sh reads, a file for each unit. */
const THAWED_DIRECTORY = "/run/kmonte/hand-over";

/**
 * How long units have to take their processes, in milliseconds, once the boot has started all that it starts: half of
 * what kmonte-hand-over.service has.
 */
const LONGEST_WAIT_MS = 300_000;
const PAUSE_MS = 200;

/** The unit that sees to it that systemd has the units again. */
export const HAND_OVER_UNIT = "kmonte-hand-over.service";

/** The unit that ends when all is thawed. */
export const THAWED_UNIT = "kmonte-thawed.service";

/** By their names in /proc/PID/ns. */
const SETTINGS = { net: "NetworkNamespacePath", ipc: "IPCNamespacePath" } as const;
type JoinableKind = keyof typeof SETTINGS;

/** A unit as a swap's record keeps it. */
export interface MemberUnit {
  readonly name: string;
  /** Its main process, 0 where systemd knows none; undefined for the scope of a session. */
  readonly mainPid?: number | undefined;
  readonly description: string;
  readonly slice: string;
  /** Its processes, with their control groups below the unit's: "" for the unit's own. */
  readonly processes: readonly { readonly pid: number; readonly group: string }[];
  /** Users that systemd has made up for it. */
  readonly users?: readonly DynamicUser[] | undefined;
  /** Namespaces of its own that other units may join. */
  readonly joinable?: readonly JoinableKind[] | undefined;
  /** Of the scope of a session: what logind knows of it. */
  readonly login?: readonly LoginFile[] | undefined;
  /** Mounts of the machine that its processes have their root directory on. */
  readonly mounts?: readonly MachineMount[] | undefined;
  /** For a scope in which a container lives. */
  readonly machine?: Machine | undefined;
}

/** The units of processes that are held by a freeze, as their control groups tell. */
export function membersOf(along: readonly SurveyedUnit[], pids: ReadonlySet<number>): MemberUnit[] {
  const groups = new Map([...pids].map((pid) => [pid, groupOrNone(pid)]));
  return readUnits(along.flatMap(({ unit, scopes }) => [unit, ...scopes].map(({ name }) => name))).map((unit) => {
    const { name, controlGroup, mainPid, description, properties } = unit;
    const outside = unit.pids.find((pid) => !pids.has(pid));
    if (outside !== undefined)
      throw failures.UNIT_CHANGED({ unit: name, why: `Process ${outside} was started in it since.` });
    const isService = name.endsWith(".service");
    if (isService && mainPid > 0 && !pids.has(mainPid))
      throw failures.UNIT_CHANGED({ unit: name, why: `Its main process is ${mainPid} now.` });
    const processes = [...groups].flatMap(([pid, group]) => {
      const below = group === controlGroup ? "" : group.slice(controlGroup.length);
      return group === controlGroup || group.startsWith(`${controlGroup}/`) ? [{ pid, group: below }] : [];
    });
    const slice = properties.get("Slice") ?? "";
    const users = dynamicUsersOf(unit);
    const base = { name, description, slice, processes, ...(isService && { mainPid }) };
    const joinable = joinableOf(unit);
    const login = loginFilesOf(name);
    const machine = isService ? undefined : machineOf(name);
    const mounts = rootMountsOf(processes.map(({ pid }) => pid));
    return {
      ...base,
      ...(machine && { machine }),
      ...(mounts.length > 0 && { mounts }),
      ...(users.length > 0 && { users }),
      ...(joinable.length > 0 && { joinable }),
      ...(login.length > 0 && { login }),
    };
  });
}

function joinableOf({ properties }: Unit): JoinableKind[] {
  const isOn = (setting: string): boolean => properties.get(setting) === "yes";
  return [...(isOn("PrivateNetwork") ? (["net"] as const) : []), ...(isOn("PrivateIPC") ? (["ipc"] as const) : [])];
}

function groupOrNone(pid: number): string {
  return orIfGone(() => controlGroupOf(pid), "");
}

/**
 * The text of the drop-in. `script` is the path of hand-over.sh. Without a main process, systemd takes the unit for a
 * daemon that has forked: it watches the processes that are in the control group when the script has ended.
 */
function dropInText(script: string, hasMain: boolean, namespaces: Namespaces = {}): string {
  const paths = Object.entries(namespaces).map(([setting, path]) => `${setting}=${path}\n`);
  return `# Written by kmonte for one boot, in which this unit's processes are thawed and not started.
[Unit]
After=kmonte-thaw.service
${paths.length > 0 ? GATE : ""}# An empty one takes all conditions and assertions back.
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
# They came along, with what is in them and their owners.
RuntimeDirectory=
LoadCredential=
LoadCredentialEncrypted=
SetCredential=
SetCredentialEncrypted=
# The script needs nothing of this, and is not to fail for want of it.
EnvironmentFile=
WorkingDirectory=
PAMName=
StandardInput=null
StandardOutput=journal
StandardError=journal
${paths.join("")}`;
}

/** They must be there when systemd starts the script. */
const GATE = `Wants=${THAWED_UNIT}
After=${THAWED_UNIT}
`;

/** Settings of systemd.exec(5) that say where a namespace is to be found, with paths in /proc. */
type Namespaces = Readonly<Record<string, string>>;

/**
 * Namespaces that the unit may share with others (JoinsNamespaceOf=, systemd.unit(5)): those that are started later join
 * what systemd has, which is to be what the processes live in.
 */
function namespacesOf({ joinable = [], processes, mainPid }: MemberUnit): Namespaces {
  // Another one may have ended already.
  const first = processes.find(({ pid }) => pid === mainPid) ?? processes[0];
  if (!first) return {};
  const task = findTask(first.pid);
  return Object.fromEntries(joinable.map((kind) => [SETTINGS[kind], procPath(task, `ns/${kind}`)]));
}

/** The drop-ins that {@link prepareHandOver} writes for units. */
export function dropInsOf(units: readonly MemberUnit[]): string[] {
  return textsFor(units).map(([unit]) => dropInOf(unit));
}

/** What stands in the drop-in of each unit that needs one. */
function textsFor(units: readonly MemberUnit[]): (readonly [unit: string, text: string])[] {
  const services = units.flatMap((unit) => {
    const { name, mainPid } = unit;
    return mainPid === undefined
      ? []
      : [[name, dropInText(projectFile("systemd/hand-over.sh"), mainPid > 0, namespacesOf(unit))] as const];
  });
  // The unit that hands over has work to do, though there may be scopes alone.
  return units.length === 0 ? [] : [[HAND_OVER_UNIT, MARK], ...services];
}

const MARK = "# Written by kmonte for one boot.\n";

function dropInOf(unit: string): string {
  return join(UNIT_DIRECTORY, `${unit}.d`, HAND_OVER_DROP_IN);
}

/** Has the next boot hand the processes over; on disk when it returns. */
export function prepareHandOver(units: readonly MemberUnit[]): void {
  for (const [unit, text] of textsFor(units)) {
    const path = dropInOf(unit);
    const directory = dirname(path);
    mkdirSync(directory, { recursive: true });
    writeFileSync(path, text, { flush: true });
    syncDirectory(directory);
  }
  syncDirectory(UNIT_DIRECTORY);
}

/** All users that systemd has made up for some units. */
export function usersOf(units: readonly MemberUnit[]): DynamicUser[] {
  const all = units.flatMap(({ users = [] }) => users);
  return [...new Map(all.map((user) => [user.name, user])).values()];
}

/** Takes the drop-ins away, all or those of some units: the units' next start is their own. Says whether there were any. */
export function removeHandOver(units?: readonly string[]): boolean {
  const names = units?.map((name) => `${name}.d`) ?? orIfGone(() => readdirSync(UNIT_DIRECTORY), []);
  const directories = names
    .filter((name) => name.endsWith(".d"))
    .map((name) => join(UNIT_DIRECTORY, name))
    .filter((directory) => existsSync(join(directory, HAND_OVER_DROP_IN)));
  for (const directory of directories) {
    rmSync(join(directory, HAND_OVER_DROP_IN), { force: true });
    if (readdirSync(directory).length === 0) rmdirSync(directory);
  }
  return directories.length > 0;
}

/**
 * Has systemd start units anew whose processes do not come back; some may be waiting for them already. `others` says
 * whether there are further units that do.
 */
export function startAnew(units: readonly MemberUnit[], others: boolean): void {
  const services = units.flatMap(({ name, mainPid }) => (mainPid === undefined ? [] : [name]));
  if (!removeHandOver(others ? services : undefined)) return;
  reloadUnits();
  if (services.length > 0) systemctl(["restart", "--no-block", "--", ...services]);
}

/** The units' processes run: hand-over.sh, which may be waiting for that, tells systemd. */
export function announceThawed(units: readonly MemberUnit[]): void {
  tellStartTimes(units.flatMap(({ processes }) => processes.map(({ pid }) => pid)));
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

/**
 * Credentials are on a mount that goes away at the unit's stop (systemd.exec(5), LoadCredential=); those that came along
 * are a folder, of which systemd removes only what its owner may write to.
 */
function makeRemovable(services: readonly string[]): void {
  for (const path of services.map((name) => join("/run/credentials", name))) {
    const { uid = 0, mode = 0 } = lstatSync(path, { throwIfNoEntry: false }) ?? {};
    // All other bits stay: they may stand for an access control list (acl(5)).
    if (uid !== 0) chmodSync(path, (mode & 0o7777) | 0o200);
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
  releaseUsers(usersOf(units));
  makeRemovable(services);
  adoptPrivateTmp(units.flatMap(({ processes }) => processes.map(({ pid }) => pid)));
  for (const unit of units) if (unit.mainPid === undefined) await giveScope(unit);
  tellLogind(units.flatMap(({ login = [] }) => login));
  return readUnits(units.map(({ name }) => name)).map(({ name, activeState, mainPid }) => ({
    name,
    activeState,
    mainPid,
  }));
}
