/**
 * Users that systemd makes up for as long as a unit runs (systemd.exec(5), DynamicUser=). The next boot could give such a
 * user another id, and this one to another unit: the unit's StateDirectory= would go to whoever has the name, and the
 * processes would have somebody else's rights. So a unit of ours has the users, with their ids, from before the thaw on
 * until the units have taken their processes: units with a user of the same name share it.
 */
import { chownSync, mkdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { failures } from "../errors/catalogue.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { showUnits, systemctl } from "../lib/systemctl.ts";
import type { Unit } from "./unit.ts";

/** A template: an instance for each user or group. */
export const USER_UNIT = "kmonte-user@.service";
/** systemd prefers the id that owns the folder of a unit. */
const FOLDERS = "kmonte/users";
/** Where systemd notes who has which id. */
const KNOWN = "/run/systemd/dynamic-uid";

export interface DynamicUser {
  readonly name: string;
  /** Its user id and group id, which are one number; of a group, its group id. */
  readonly id: number;
}

/** The users and groups of a unit that systemd has made up for it. */
export function dynamicUsersOf({ properties }: Unit): DynamicUser[] {
  if (properties.get("DynamicUser") !== "yes") return [];
  const names = ["User", "Group"].map((property) => properties.get(property) ?? "").filter(Boolean);
  return [...new Set(names)].flatMap((name) => {
    // A user that there is anyway is not made up.
    const id = orIfGone(() => readlinkSync(join(KNOWN, `direct:${name}`)), undefined);
    return id === undefined ? [] : [{ name, id: Number(id) }];
  });
}

/** The text of {@link USER_UNIT}. */
export function userUnitText(): string {
  return `# Written by kmonte swap.
[Unit]
Description=Keeps the id of %i for processes that kmonte thaws
Documentation=man:kmonte(1)
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
DynamicUser=yes
User=%i
RuntimeDirectory=${FOLDERS}/%i
ExecStart=+/bin/true
`;
}

/** Takes the ids for the names, as far as that is possible; before anything of theirs is there. */
export function reserveUsers(users: readonly DynamicUser[]): void {
  for (const { name, id } of users) {
    const folder = join("/run", FOLDERS, name);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    chownSync(folder, id, id);
  }
  if (users.length === 0) return;
  // At once: what it would wait for waits for the thaw. Whether it worked is asked later.
  const start = ["start", "--job-mode=ignore-dependencies", "--", ...users.map(instanceOf)];
  spawnSync("systemctl", start, { stdio: "ignore", timeout: LONGEST_MS });
}

const LONGEST_MS = 30_000;

/** Throws a {@link Refusal} when a name has not got its id. */
export function requireUsers(users: readonly DynamicUser[]): void {
  const states = showUnits(users.map(instanceOf), ["UID", "ActiveState"]);
  users.forEach(({ name, id }, i) => {
    const state = states[i];
    const uid = state?.get("UID");
    if (uid === String(id)) return;
    const why =
      state?.get("ActiveState") === "active"
        ? `systemd has given it ${uid}: ${id} was taken when the boot asked for it.`
        : `${instanceOf({ name, id })} did not start.`;
    throw failures.DYNAMIC_USER_TAKEN({ name, id, why });
  });
}

/** The units have them by now, or nobody needs them. Throws when systemd does not answer. */
export function releaseUsers(users: readonly DynamicUser[]): void {
  if (users.length > 0) systemctl(["stop", "--", ...users.map(instanceOf)]);
}

function instanceOf({ name }: DynamicUser): string {
  return USER_UNIT.replace("@", `@${name}`);
}
