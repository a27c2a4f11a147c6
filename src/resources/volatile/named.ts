/** What somebody has named to come along, and the credentials of units (systemd.exec(5), LoadCredential=). */
import { basename, dirname, join } from "node:path";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { realpathSync } from "../../sys/files.ts";
import { failures } from "../../errors/catalogue.ts";
import { errnoOf } from "../../lib/no-such-file.ts";
import type { FreezeContext } from "../freeze-context.ts";
import { cgroupsOf } from "../cgroup/tree.ts";
import { carryingOf, carryWhole } from "./collect.ts";
import { lookAt } from "./entry.ts";
import { isVolatile } from "./file-systems.ts";

const CREDENTIALS = "/run/credentials";

/** A path of the machine, absolute, that comes along as a whole. Throws a {@link Refusal} when there is nothing there. */
export function carryNamed(context: FreezeContext, named: string): void {
  const path = inItsFolder(named);
  if (!isVolatile(path)) {
    context.note(`${named} lies on a disk and stays there: it need not be carried.`);
    return;
  }
  carryWhole(context, path, "It was named to be carried");
  if (lookAt(path)?.isSymbolicLink() !== true) return;
  // RuntimeDirectory= of a unit with DynamicUser= is a link into /run/private.
  const target = resolved(path);
  if (isVolatile(target)) carryWhole(context, target, `${named}, which was named to be carried, leads there`);
}

function inItsFolder(named: string): string {
  const path = join(resolved(dirname(named)), basename(named));
  if (lookAt(path)) return path;
  throw failures.CARRY_MISSING({ path: named, why: "lstat failed with ENOENT" });
}

function resolved(path: string): string {
  try {
    return realpathSync(OWN_VIEW.at(path));
  } catch (cause) {
    throw failures.CARRY_MISSING({ path, why: `realpath failed with ${errnoOf(cause) ?? "an error"}`, cause });
  }
}

/** The credentials of the units whose control groups the set lives in: no boot makes them for a unit that is thawed. */
export function carryCredentials(context: FreezeContext): void {
  if (context.user !== undefined) return;
  const units = new Set(
    [...context.tasks.values()].flatMap((task) =>
      Object.values(cgroupsOf(context, task)).flatMap((path) => unitOf(path) ?? []),
    ),
  );
  for (const unit of units) {
    const path = join(CREDENTIALS, unit);
    if (!lookAt(path) || !isVolatile(path)) continue;
    carryingOf(context).above(path);
    carryWhole(context, path, `It holds the credentials of ${unit}`);
  }
}

/** The unit of systemd that a control group belongs to, by its name: the outermost that runs processes. */
function unitOf(path: string): string | undefined {
  return path.split("/").find((part) => /\.(service|socket|mount|swap)$/.test(part));
}
