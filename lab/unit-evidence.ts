/** What is seen of the server and its units from outside, before the swap and after it. */
import { parseShow } from "../src/lib/systemctl.ts";
import type { SeenProcess } from "./evidence.ts";
import type { Machine } from "./machine.ts";
import { lookAt } from "./places.ts";
import { LOOK_AT_REDIS } from "./services.ts";

export interface SeenUnit {
  readonly name: string;
  /** What systemctl show says, the properties of {@link PROPERTIES}. */
  readonly properties: ReadonlyMap<string, string>;
  /** The ids of the processes in its control group. */
  readonly pids: readonly number[];
}

export interface ServerEvidence {
  readonly release: string;
  /** As systemctl is-system-running says it. */
  readonly state: string;
  readonly units: readonly SeenUnit[];
  /** The processes of the units and of sessions, and all below them. */
  readonly processes: readonly SeenProcess[];
  /** The scopes of sessions. */
  readonly sessions: readonly string[];
  /** Number of keys and digest of all values. */
  readonly redis: string;
  /** Files of the journal that were found damaged at a boot. */
  readonly damagedJournal: string;
}

/** What is to be the same after the swap as before. */
export const PROPERTIES = ["MainPID", "Type", "ControlGroup", "FragmentPath", "DropInPaths", "NeedDaemonReload"];
const STATES = ["ActiveState", "SubState"];

export async function observeServer(machine: Machine, names: readonly string[]): Promise<ServerEvidence> {
  const shell = async (script: string): Promise<string> => (await machine.output(["sh", "-c", script])).trim();
  const show = async (units: readonly string[], properties: readonly string[]) =>
    parseShow(await machine.output(["systemctl", "show", `--property=${properties.join(",")}`, "--", ...units]));
  const pidsIn = async (group = ""): Promise<number[]> =>
    (await shell(`find /sys/fs/cgroup${group} -name cgroup.procs -exec cat {} +`)).split("\n").map(Number);

  const units: SeenUnit[] = [];
  for (const [i, properties] of (await show(names, [...PROPERTIES, ...STATES])).entries())
    units.push({ name: names[i] ?? "", properties, pids: await pidsIn(properties.get("ControlGroup")) });
  const scopes = await shell(
    "systemctl list-units --plain --no-legend --full --type=scope --state=active | cut -d' ' -f1",
  );
  const sessions = scopes.split("\n").filter((name) => name.startsWith("session-"));
  const pids = units.flatMap((unit) => unit.pids);
  for (const properties of sessions.length > 0 ? await show(sessions, ["ControlGroup"]) : [])
    pids.push(...(await pidsIn(properties.get("ControlGroup"))));
  return {
    release: await shell("uname -r"),
    state: await shell("systemctl is-system-running || true"),
    units,
    processes: JSON.parse(await machine.output(lookAt(pids))) as SeenProcess[],
    sessions,
    redis: await shell(LOOK_AT_REDIS.digest.join(" ")),
    damagedJournal: await shell("ls /var/log/journal/*/*~ 2>/dev/null || true"),
  };
}
