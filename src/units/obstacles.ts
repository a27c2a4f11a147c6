/** What of a unit itself, rather than of its processes, keeps systemd from having it again after a boot. */
import { failures } from "../errors/catalogue.ts";
import type { FailureObject, Refusal } from "../errors/failure.ts";
import { rebuildRefusal } from "../errors/retell.ts";
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
    .map(({ unit, obstacle: { code, what, why, remedy, ...facts } }) =>
      rebuildRefusal({ code, what: `${unit.name}: ${what}`, why, remedy, facts }),
    );
}

function transient({ name, properties }: Unit): Refusal | undefined {
  const path = properties.get("FragmentPath") ?? "";
  if (!/^\/run\/systemd\/(transient|system)\//.test(path)) return undefined;
  return failures.UNIT_TRANSIENT({ name, path });
}

function mainProcess({ name, mainPid, type, pids }: Unit): Refusal | undefined {
  // A daemon that forks and leaves no pid file: systemd watches its control group instead.
  if (mainPid === 0 && type === "forking") return undefined;
  if (mainPid > 0 && pids.includes(mainPid)) return undefined;
  return failures.UNIT_NO_MAIN_PROCESS({ name, mainPid, type });
}

function descriptorStore({ name, properties }: Unit): Refusal | undefined {
  const stored = Number(properties.get("NFileDescriptorStore") ?? 0);
  if (!(stored > 0)) return undefined;
  return failures.UNIT_DESCRIPTOR_STORE({ name, stored });
}

/** systemd ends such a unit as soon as nobody has its name, as when the bus itself restarts. */
function busName({ name, type, properties }: Unit): Refusal | undefined {
  if (type !== "dbus") return undefined;
  const own = properties.get("BusName") ?? "";
  return failures.UNIT_BUS_NAME({ name, own });
}
