/** Whether a user could open what a frozen set has open: asked of the kernel, with the user's rights, path by path. */
import { attempt, withText } from "../abi/call.ts";
import { AT_FDCWD, O, O_ACCMODE, OPEN_STATUS } from "../abi/fcntl.ts";
import { asUser, asUserAlone, type Identity } from "../abi/identity.ts";
import { errnoName } from "../abi/errno.ts";
import { Refusal } from "../lib/errors.ts";
import { parseFlags } from "../lib/flags.ts";
import { isNamedFile } from "../resources/objects/volatile-file.ts";
import type { FrozenState } from "./schema.ts";

const AT_EACCESS = 0x200;
const R_OK = 4;
const W_OK = 2;
const ACCESS = [R_OK, W_OK, R_OK | W_OK, R_OK | W_OK];

/** A refusal for each path that is not within the user's reach any more, or never was. */
export function checkReach(state: FrozenState, user: Identity): Refusal[] {
  const wanted = new Map<string, number>();
  const want = (path: unknown, access: number): void => {
    if (typeof path === "string" && path.startsWith("/")) wanted.set(path, (wanted.get(path) ?? 0) | access);
  };
  for (const object of Object.values(state.objects)) {
    if (isNamedFile(object)) want(object["path"], 0);
    if (object.kind === "fifo" && object["linked"] === true) want(object["path"], R_OK);
  }
  for (const file of Object.values(state.files)) {
    const { path, contents, outside } = file.state as {
      path?: unknown;
      contents?: string;
      outside?: { path?: unknown };
    };
    const flags = parseFlags(OPEN_STATUS, file.flags);
    const access = (flags & O.O_PATH) === 0 ? (ACCESS[flags & O_ACCMODE] as number) : 0;
    const object = contents === undefined ? undefined : state.objects[contents];
    want(path ?? outside?.path ?? (isNamedFile(object) ? object?.["path"] : undefined), access);
  }
  for (const { body } of state.processes) {
    want((body?.resources as { filesystemContext?: { cwd?: unknown } } | undefined)?.filesystemContext?.cwd, 0);
    for (const { backing } of body?.mappings ?? []) {
      const object = backing && state.objects[backing.object];
      if (object && isNamedFile(object)) want(object["path"], backing?.writable ? R_OK | W_OK : R_OK);
    }
  }
  return asUser(user, () => asUserAlone(() => [...wanted].flatMap(([path, access]) => checkPath(path, access))));
}

function checkPath(path: string, access: number): Refusal[] {
  const result = withText(path, (address) => attempt("faccessat2", AT_FDCWD, address, access, AT_EACCESS));
  if (result >= 0) return [];
  const why = `Asked for with the rights of their user, ${path} answered ${errnoName(result)}.`;
  return [
    new Refusal(
      "NOT_YOURS",
      { what: "The processes use a file that their user cannot open.", why, remedy: "Ask root to do it." },
      { path },
    ),
  ];
}
