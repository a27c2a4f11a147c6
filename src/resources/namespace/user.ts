/**
 * User namespaces (user_namespaces(7)): how ids inside are mapped, who made it, and which one it is nested in. All ids
 * in the image are those that kmonte sees; the maps tell what they are inside.
 */
import { livingThread, procPath } from "../../sys/task.ts";
import { findTask } from "../../proc/read.ts";
import { Memo } from "../memo.ts";
import { spawnSync } from "node:child_process";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { readFileSync, readdirSync } from "../../sys/files.ts";
import { nameOfNamespace, namespaceOf, openNamespace, ownerIdOf, ownerOf, parentOf } from "../../sys/namespaces.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import type { NamespaceHandle } from "./handle.ts";

/** The first id inside, the first one as kmonte sees it, and how many follow each other. */
const map = v.array(v.tuple([v.number(), v.number(), v.number()]));
type IdMap = v.InferOutput<typeof map>;

const schema = v.strictObject({
  kind: v.literal("user-namespace"),
  /** The namespace that it is nested in; absent: that of kmonte. */
  parent: v.optional(v.string()),
  /** The user who made it: his processes in the parent have all capabilities inside. */
  owner: v.number(),
  uidMap: map,
  gidMap: map,
  setgroups: v.picklist(["allow", "deny"]),
});
export type UserState = v.InferOutput<typeof schema>;

export interface UserNamespaceHandle extends NamespaceHandle {
  readonly state: UserState;
}

export const userNamespace: ObjectKind<UserState, UserNamespaceHandle, "user-namespace"> = {
  name: "user-namespace",
  hasPath: false,
  schema,
  needs: () => [{ option: "CONFIG_USER_NS", what: "user_namespaces(7)" }],
  thaw: (state, context) => ({ fd: context.userNamespaces.make(state), state }),
};

/** Notes the user namespace behind a descriptor, and those above it; undefined for the one that kmonte lives in. */
export function userObject(context: FreezeContext, user: LocalFd | undefined): string | undefined {
  if (user === undefined) return undefined;
  const name = nameOfNamespace(user);
  if (name === namespaceOf("self", "user")) return undefined;
  return context.object(name, () => {
    const above = parentOf(user);
    try {
      const parent = userObject(context, above);
      const { uidMap, gidMap, setgroups } = readMaps(context, user, name, parent);
      const state: UserState = {
        kind: "user-namespace",
        ...(parent !== undefined && { parent }),
        owner: ownerIdOf(user),
        uidMap,
        gidMap,
        setgroups,
      };
      known(context).set(name, state);
      return state;
    } finally {
      if (above !== undefined) closeSync(above);
    }
  });
}

/** The same for the owner of a namespace. */
export function ownerObject(context: FreezeContext, namespace: LocalFd): string | undefined {
  const owner = ownerOf(namespace);
  try {
    return userObject(context, owner);
  } finally {
    if (owner !== undefined) closeSync(owner);
  }
}

/** The owner of each pid namespace below ours that a process sees, outermost first; "" for our user namespace. */
export function pidNamespaceOwners(context: FreezeContext, task: Task): string[] {
  const owners: string[] = [];
  const home = namespaceOf("self", "pid");
  let at: LocalFd | undefined = openNamespace(task, "pid");
  while (at !== undefined && nameOfNamespace(at) !== home) {
    owners.unshift(ownerObject(context, at) ?? "");
    const above = parentOf(at);
    closeSync(at);
    at = above;
  }
  if (at !== undefined) closeSync(at);
  return owners;
}

/** The states that this freeze has found. */
const found = new Memo(() => new Map<string, UserState>());

function known(context: FreezeContext): Map<string, UserState> {
  const states = context.memo(found);
  return states;
}

type Maps = Pick<UserState, "uidMap" | "gidMap" | "setgroups">;

/** Shown by whoever lives in it, to us with our own ids; an empty one is entered by nsenter(1) for the question. */
function readMaps(context: FreezeContext, user: LocalFd, name: string, parent: string | undefined): Maps {
  const member =
    [...context.tasks.values()].find((task) => namespaceOf(task, "user") === name) ??
    readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid))
      .map((pid) => findTask(Number(pid)))
      .find((task) => namespaceOf(task, "user") === name);
  const files = ["uid_map", "gid_map", "setgroups"];
  if (member !== undefined) return mapsOf(files.map((file) => readFileSync(procPath(member, file), "utf8")));
  const maps = mapsOf(readInside(user, name, files));
  // Who lives in a namespace is shown the ids of the one above.
  const above = parent === undefined ? undefined : known(context).get(parent);
  const seen = (ids: IdMap, aboves: IdMap | undefined): IdMap =>
    ids.map(([inside, outside, count]) => [inside, aboves ? (idOutside(aboves, outside) ?? outside) : outside, count]);
  return { ...maps, uidMap: seen(maps.uidMap, above?.uidMap), gidMap: seen(maps.gidMap, above?.gidMap) };
}

function mapsOf([uids = "", gids = "", setgroups = ""]: readonly string[]): Maps {
  return {
    uidMap: parseMap(uids),
    gidMap: parseMap(gids),
    setgroups: setgroups.trim() === "deny" ? "deny" : "allow",
  };
}

function readInside(user: LocalFd, name: string, files: readonly string[]): string[] {
  return files.map((file) => {
    const args = [
      `--user=${procPath(livingThread(process.pid), `fd/${user}`)}`,
      "--preserve-credentials",
      "cat",
      `/proc/self/${file}`,
    ];
    const { status, stdout, stderr, error } = spawnSync("nsenter", args, { encoding: "utf8", cwd: "/" });
    if (status === 0) return stdout;
    throw failures.USER_NAMESPACE({ name, said: (error?.message ?? stderr).trim() });
  });
}

function parseMap(text: string): IdMap {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
      return [inside, outside, count];
    });
}

/** What an id that kmonte sees is called inside; undefined for one that is not mapped. */
export function idInside(idMap: IdMap, id: number): number | undefined {
  const range = idMap.find(([, outside, count]) => id >= outside && id < outside + count);
  return range && range[0] + (id - range[1]);
}

/** What an id inside is for kmonte. */
function idOutside(idMap: IdMap, id: number): number | undefined {
  const range = idMap.find(([inside, , count]) => id >= inside && id < inside + count);
  return range && range[1] + (id - range[0]);
}

/** What is written into uid_map or gid_map by somebody of `above`, the map of the parent; absent: by kmonte. */
export function formatMap(idMap: IdMap, above: IdMap | undefined): string {
  return idMap
    .map(
      ([inside, outside, count]) => `${inside} ${above ? (idInside(above, outside) ?? outside) : outside} ${count}\n`,
    )
    .join("");
}
