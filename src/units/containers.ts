/**
 * Containers of run-times that keep their state in /run (runc(8), crun(1), and podman(1) above them). What they keep comes
 * along with the container's processes. It names the init with its start time (proc_pid_stat(5)), to tell it from another
 * process with the same id: after a thaw that is another one, without which the run-time would take the container for
 * ended.
 */
import { closeSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootId } from "../sys/file-identity.ts";
import { namespaceOf, openNamespace } from "../sys/namespaces.ts";
import { namespaceId } from "../sys/rtnetlink.ts";
import { failures } from "../errors/catalogue.ts";
import type { Refusal } from "../errors/failure.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { findTask, namespaceOutside, readStat } from "../proc/read.ts";
import { listLinks } from "../resources/net/links.ts";
import type { Unit } from "./unit.ts";

/** A folder for each container, with a file of JSON in it that has the id of its init and its start time. */
const RUN_TIMES = [
  { root: "/run/crun", file: "status", pid: "pid", start: "process-start-time" },
  { root: "/run/runc", file: "state.json", pid: "init_process_pid", start: "init_process_start" },
] as const;

/** What podman(1) keeps of all containers; without them it takes the machine for started anew, and all for ended. */
const PODMAN = ["/run/libpod", "/run/containers", "/dev/shm/libpod_lock"];

interface Container {
  readonly folder: string;
  readonly file: string;
  readonly pid: number;
  readonly start: string;
}

/** The containers whose init is one of some processes. */
function containersOf(pids: ReadonlySet<number>): Container[] {
  return RUN_TIMES.flatMap(({ root, file, pid: key, start }) =>
    orIfGone(() => readdirSync(root), []).flatMap((name) => {
      const path = join(root, name, file);
      const text = orIfGone(() => readFileSync(path, "utf8"), "");
      const pid = Number(new RegExp(`"${key}"\\s*:\\s*(\\d+)`).exec(text)?.[1] ?? 0);
      return pids.has(pid) ? [{ folder: join(root, name), file: path, pid, start }] : [];
    }),
  );
}

/** Paths that are to come along with containers whose init is one of some processes. */
export function pathsOfContainers(pids: readonly number[]): string[] {
  const folders = containersOf(new Set(pids)).map(({ folder }) => folder);
  return folders.length === 0 ? [] : [...folders, ...PODMAN.filter((path) => existsSync(path))];
}

/** Podman 5 and later: the id of the boot for which what it keeps in /run is meant (proc_sys_kernel(5)). */
const PODMAN_BOOT = "/run/libpod/alive";

/** Tells the run-times of containers when their inits have been started: by a thaw, in this boot. */
export function tellStartTimes(pids: readonly number[]): void {
  const containers = containersOf(new Set(pids));
  if (containers.length === 0) return;
  const known = orIfGone(() => readFileSync(PODMAN_BOOT, "utf8"), "");
  if (known.trim() !== "") writeFileSync(PODMAN_BOOT, known.replace(known.trim(), bootId()));
  for (const { file, pid, start } of containers) {
    const now = readStat(pid)?.startTime;
    // It has ended since.
    if (now === undefined) continue;
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace(new RegExp(`("${start}"\\s*:\\s*)\\d+`), `$1${now}`));
  }
}

/** A network device whose other end is in a bridge that whoever runs the container has made, and no boot makes. */
export function bridged(unit: Unit): Refusal | undefined {
  const seen = new Set([namespaceOf("self", "net")]);
  for (const pid of unit.pids) {
    const network = namespaceOutside(pid, "net");
    if (network === undefined || seen.has(network)) continue;
    seen.add(network);
    const id = orIfGone(() => idOf(pid), undefined);
    const device = id === undefined ? undefined : listLinks().find((link) => link.link_netnsid === id && link.master);
    if (!device) continue;
    return failures.UNIT_BRIDGED({ unit: unit.name, pid, device: device.ifname, bridge: device.master });
  }
  return undefined;
}

function idOf(pid: number): number | undefined {
  const network = openNamespace(findTask(pid), "net");
  try {
    return namespaceId(network);
  } finally {
    closeSync(network);
  }
}
