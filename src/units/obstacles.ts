/** What of a unit itself, rather than of its processes, keeps systemd from having it again after a boot. */
import { type FailureObject, Refusal } from "../lib/errors.ts";
import type { SurveyedUnit } from "./survey.ts";
import { bridged } from "./containers.ts";
import type { Unit } from "./unit.ts";

/** All that stands in the way of a service, or of the scope of a session or container. */
export function obstaclesOf(unit: Unit): FailureObject[] {
  const ofService = [transient, mainProcess, descriptorStore, busName];
  const looks = unit.name.endsWith(".service") ? [...ofService, bridged] : [bridged];
  const found = looks.map((look) => look(unit));
  return found.flatMap((refusal) => (refusal ? [refusal.toJSON()] : []));
}

/** What stands in the way of units that are to go along, with their names. */
export function inTheWay(looked: readonly SurveyedUnit[]): Refusal[] {
  return looked
    .filter(({ verdict }) => verdict === "in-the-way")
    .flatMap(({ unit, obstacles }) => obstacles.map((obstacle) => ({ unit, obstacle })))
    .map(({ unit, obstacle: { code, what, why, remedy, ...facts } }) => {
      return new Refusal(code, { what: `${unit.name}: ${what}`, why, remedy }, facts);
    });
}

function transient({ name, properties }: Unit): Refusal | undefined {
  const path = properties.get("FragmentPath") ?? "";
  if (!/^\/run\/systemd\/(transient|system)\//.test(path)) return undefined;
  return new Refusal(
    "UNIT_TRANSIENT",
    {
      what: `systemd would not know ${name} after a boot.`,
      why: `It was made for this boot alone (systemd-run(1)): its file is ${path}.`,
      remedy: "Write a unit file for it in /etc/systemd/system, or take its processes along by themselves (--pid).",
    },
    { path },
  );
}

function mainProcess({ name, mainPid, type, pids }: Unit): Refusal | undefined {
  // A daemon that forks and leaves no pid file: systemd watches its control group instead.
  if (mainPid === 0 && type === "forking") return undefined;
  if (mainPid > 0 && pids.includes(mainPid)) return undefined;
  return new Refusal("UNIT_NO_MAIN_PROCESS", {
    what: `systemd could not be told which process of ${name} is the main one.`,
    why: mainPid > 0 ? `Process ${mainPid} is not in its control group.` : `It knows none itself (Type=${type}).`,
    remedy:
      "Give the unit a PIDFile=, or Type=simple with a program that stays in the foreground (systemd.service(5)).",
  });
}

function descriptorStore({ name, properties }: Unit): Refusal | undefined {
  const stored = Number(properties.get("NFileDescriptorStore") ?? 0);
  if (!(stored > 0)) return undefined;
  return new Refusal("UNIT_DESCRIPTOR_STORE", {
    what: `${name} has left open files with systemd that would be lost.`,
    why: `systemd keeps ${stored} of its file descriptors (FileDescriptorStoreMax= in systemd.service(5)).`,
    remedy: "Let it be started anew (kmonte unprotect), or set FileDescriptorStoreMax=0 for it and restart it.",
  });
}

/** systemd ends such a unit as soon as nobody has its name, as when the bus itself restarts. */
function busName({ name, type, properties }: Unit): Refusal | undefined {
  if (type !== "dbus") return undefined;
  const own = properties.get("BusName") ?? "";
  return new Refusal("UNIT_BUS_NAME", {
    what: `systemd would stop ${name} after a boot.`,
    why: `It is of Type=dbus, and its name ${own} on the system bus ends with the bus; its connection comes back closed.`,
    remedy: "Let it be started anew (kmonte unprotect), or give it Type=notify or Type=exec (systemd.service(5)).",
  });
}
