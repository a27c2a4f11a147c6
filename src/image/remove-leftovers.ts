/** Undoing what killed runs of kmonte have left. Every command begins with it. */
import { closeSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { attempt } from "../sys/call.ts";
import { LOCK_EX_NB } from "../abi/locks.ts";
import { O } from "../abi/fcntl.ts";
import { asUser } from "../sys/identity.ts";
import type { LocalFd } from "../lib/brand.ts";
import { openPath } from "../resources/file/path-file.ts";
import { NEW, notesDirectory, runOf, type Unfinished, unfinishedSchema } from "../resources/undo-notes.ts";
import { removeLeftovers } from "./directory.ts";

interface Note {
  readonly name: string;
  readonly fd: LocalFd;
}

/** Undoes what nobody will finish any more. Never fails: what cannot be undone now stays noted for the next time. */
export function tidyUp(): void {
  let names: string[];
  try {
    names = readdirSync(notesDirectory());
  } catch {
    return;
  }
  for (const run of new Set(names.map(runOf))) tidyRun(names.filter((name) => runOf(name) === run));
}

/** All notes of one run: as long as one of them is locked, it lives. */
function tidyRun(names: readonly string[]): void {
  const notes = names.flatMap((name) => take(name) ?? []);
  try {
    if (notes.length < names.length) return;
    const all = notes.flatMap((note) => read(note));
    for (const one of all) quietly(() => (one.kind === "image" ? undoImage(one) : rmdirSync(one.path)));
    for (const { name } of notes) quietly(() => rmSync(join(notesDirectory(), name), { force: true }));
  } finally {
    for (const { fd } of notes) closeSync(fd);
  }
}

/** Opens and locks a note of a run that has ended. */
function take(name: string): Note | undefined {
  const fd = quietly(() => openPath(OWN_VIEW.at(join(notesDirectory(), name)), O.O_RDWR | O.O_NOFOLLOW));
  if (fd === undefined) return undefined;
  if (attempt("flock", fd, LOCK_EX_NB) >= 0) return { name, fd };
  closeSync(fd);
  return undefined;
}

/** One that is not whole was about to be written: nothing had been done yet. */
function read({ name, fd }: Note): Unfinished[] {
  if (name.endsWith(NEW)) return [];
  return quietly(() => [v.parse(unfinishedSchema, JSON.parse(readFileSync(fd, "utf8")))]) ?? [];
}

function undoImage({ parent, name, user }: Extract<Unfinished, { kind: "image" }>): void {
  const fd = asUser(user, () => openPath(OWN_VIEW.at(parent), O.O_PATH | O.O_DIRECTORY));
  try {
    removeLeftovers(fd, (one) => one === name, user);
  } finally {
    closeSync(fd);
  }
}

function quietly<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
