/**
 * The folders of PrivateTmp= (systemd.exec(5)). systemd has made new ones for the script that hands a unit over; they
 * are what it removes at the unit's stop, and what units find that are started later and join the namespaces of this one
 * (JoinsNamespaceOf=). So the folders that came along take their places.
 */
import { findTask } from "../proc/read.ts";
import { existsSync, lstatSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { bootId } from "../sys/file-identity.ts";
import { mountsOf } from "../proc/mounts.ts";

/** Renames what thawed processes use, where there is exactly one new folder of the same unit, with nothing in it. */
export function adoptPrivateTmp(pids: readonly number[]): void {
  const used = new Set(pids.flatMap(privateTmpOf));
  for (const top of ["/tmp", "/var/tmp"]) {
    const names = readdirSync(top).filter((name) =>
      name.startsWith(`systemd-private-${bootId().replaceAll("-", "")}-`),
    );
    for (const [own = "", ...others] of Object.values(Object.groupBy(names, unitIn)).map((all = []) =>
      sorted(all, used),
    )) {
      const [made] = others;
      if (!used.has(own) || made === undefined || others.length > 1 || used.has(made)) continue;
      replace(join(top, own), join(top, made));
    }
  }
}

/** The folder's name without the six letters of mkdtemp(3). */
function unitIn(name: string): string {
  return name.slice(0, -7);
}

function sorted(names: readonly string[], used: ReadonlySet<string>): string[] {
  return names.toSorted((a, b) => Number(used.has(b)) - Number(used.has(a)));
}

/** The names of the folders that a process has mounted as its /tmp and /var/tmp. */
function privateTmpOf(pid: number): string[] {
  return mountsOf(findTask(pid)).flatMap(
    ({ root }) => /(?:^|\/)(systemd-private-[0-9a-f]{32}-[^/]+)\/tmp$/.exec(root)?.[1] ?? [],
  );
}

function replace(own: string, made: string): void {
  const inner = join(made, "tmp");
  if (!existsSync(inner) || readdirSync(inner).length > 0 || lstatSync(own).dev !== lstatSync(made).dev) return;
  rmdirSync(inner);
  rmdirSync(made);
  renameSync(own, made);
}
