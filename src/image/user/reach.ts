/** Whether a user could open what a frozen set has open: asked of the kernel, with the user's rights, path by path. */
import { dirname } from "node:path";
import { attempt, withText } from "../../sys/call.ts";
import { ERRNO, errnoName } from "../../abi/errno.ts";
import { AT_EACCESS, AT_FDCWD, O, OPEN_STATUS, O_ACCMODE, R_OK } from "../../abi/fcntl.ts";
import { type Identity, asUser, asUserAlone } from "../../sys/identity.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { parseFlags } from "../../lib/flags.ts";
import type { PathsView, UserView, WantedPath } from "../../resources/contract.ts";
import { objectKinds } from "../../resources/registry.ts";
import { filesOf, objectsOf, resourcesOf, threadPartsOf, type Part } from "../kinds.ts";
import type { FrozenProcess, FrozenState } from "../schema.ts";

const W_OK = 2;
const X_OK = 1;
const ACCESS = [R_OK, W_OK, R_OK | W_OK, R_OK | W_OK];

/** The set as this user asks for it. */
export function viewOf(state: FrozenState, user: Identity): UserView {
  return { user, pids: new Set(state.processes.map(({ pid }) => pid)), ...pathsIn(state) };
}

/** Paths of objects by their ids. */
export function pathsIn(state: FrozenState): PathsView {
  const view: PathsView = {
    pathsOf(id, flags) {
      const object = state.objects[id];
      return objectKinds.find(({ name }) => name === object?.kind)?.paths?.(object, flags, view) ?? [];
    },
  };
  return view;
}

/** A refusal for each path that is not within the user's reach any more, or never was. */
export function checkReach(state: FrozenState, user: Identity): Refusal[] {
  const files = new Map<string, number>();
  const folders = new Set<string>();
  for (const want of wantedPaths(state)) {
    if ("folder" in want) folders.add(want.folder);
    else files.set(want.path, (files.get(want.path) ?? 0) | accessOf(want.flags));
  }
  return asUser(user, () =>
    asUserAlone(() => [
      ...[...files].flatMap(([path, access]) => checkPath(path, access)),
      ...[...folders].flatMap((path) => checkPath(existing(path), W_OK | X_OK)),
    ]),
  );
}

/** All paths that a thaw of the set opens or makes something in. */
function* wantedPaths(state: FrozenState): Generator<WantedPath> {
  const view = pathsIn(state);
  for (const part of filesOf(state)) yield* pathsOfPart(part, view);
  for (const part of objectsOf(state)) yield* pathsOfPart({ ...part, flags: "O_PATH" }, view);
  for (const process of state.processes) yield* pathsOfProcess(process, view);
}

/** What is opened for an open file, an object or a resource. */
export function pathsOfPart({ kind, state, flags }: Part, view: PathsView): Iterable<WantedPath> {
  return kind?.paths?.(state, parseFlags(OPEN_STATUS, flags), view) ?? [];
}

/** What is opened for a process besides its open files. */
export function* pathsOfProcess(
  { body, controllingTerminal: terminal }: FrozenProcess,
  view: PathsView,
): Generator<WantedPath> {
  if (terminal && "outside" in terminal.terminal) yield { ...terminal.terminal.outside, flags: O.O_RDWR };
  if (!body) return;
  for (const part of resourcesOf(body)) yield* pathsOfPart(part, view);
  for (const thread of body.threads) for (const part of threadPartsOf(thread)) yield* pathsOfPart(part, view);
  for (const { backing } of body.mappings)
    if (backing) yield* view.pathsOf(backing.object, backing.writable ? O.O_RDWR : 0);
}

function accessOf(flags: number): number {
  return (flags & O.O_PATH) === 0 ? (ACCESS[flags & O_ACCMODE] as number) : 0;
}

const reach = (path: string, access: number): number =>
  withText(path, (address) => attempt("faccessat2", AT_FDCWD, address, access, AT_EACCESS));

/** The folder, or the nearest above it that there is. */
function existing(folder: string): string {
  return folder !== "/" && reach(folder, 0) === -ERRNO.ENOENT ? existing(dirname(folder)) : folder;
}

function checkPath(path: string, access: number): Refusal[] {
  const result = reach(path, access);
  if (result >= 0) return [];
  const why = `Access to ${path} with the rights of their user failed with ${errnoName(result)}.`;
  return [failures.NOT_YOURS.file({ why, path })];
}
