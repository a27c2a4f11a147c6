/** What becomes of each carried thing at a thaw: it is there, something as good is, it has to be made, or it is in the way. */
import { closeSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { SyscallError } from "../../sys/call.ts";
import { O } from "../../abi/fcntl.ts";
import type { Blob } from "../thaw-context.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { readLink } from "../file/unlinked-special.ts";
import { openPath } from "../file/path-file.ts";
import { isSame, typeOf, whyOther, WORDS, type Entry } from "./entry.ts";
import { isPutByRoot, whyNotIn } from "./folder.ts";
import { find, type Found } from "./open-path.ts";
import { isMadeAtBoot, ofThisBoot } from "./file-systems.ts";

type Fate = "same" | "other" | "make" | "leave";
export interface Planned {
  readonly entry: Entry;
  /** Where it belongs in this boot. */
  readonly path: string;
  readonly fate: Fate;
}
export interface Plan {
  readonly steps: readonly Planned[];
  readonly problems: readonly Refusal[];
}

export interface CarriedState {
  readonly entries: readonly Entry[];
}

/** Looks at the machine as it is now and changes nothing. */
export function planFor({ entries }: CarriedState, openBlob: (name: string) => Blob): Plan {
  const known = new Map(entries.map((entry) => [ofThisBoot(entry.path), entry]));
  const fates = new Map<string, Fate>();
  const problems = new Map<string, Refusal>();
  /** Of each folder that is there, what stands in the way of making something in it. */
  const folders = new Map<string, Refusal | undefined>();
  const refuse = (problem: Refusal): void => void problems.set(problem.message, problem);
  const steps = entries.map((entry): Planned => {
    const path = ofThisBoot(entry.path);
    const folder = dirname(path);
    const fate = ((): Fate => {
      const above = fates.get(folder);
      if (above === "leave") return "leave";
      if (above === "make") return "make";
      const seen = lookFor(path, (found) => fateOf(entry, path, found, openBlob));
      if (seen === undefined) {
        if (entry.role === "beside" && above === "same") return "leave";
        if (!folders.has(folder)) folders.set(folder, refuseFolder(folder, known.get(folder), entry));
        const problem = folders.get(folder);
        if (problem) refuse(problem);
        return problem ? "leave" : "make";
      }
      if (typeof seen === "string") return seen;
      if (entry.role !== "beside") refuse(inTheWay(entry, path, seen.why));
      return "leave";
    })();
    fates.set(path, fate);
    return { entry, path, fate };
  });
  return { steps, problems: [...problems.values()] };
}

/** The same for one thing that was to be made, where something has come since: what that is, or why it is in the way. */
export function fateOfComer(entry: Entry, path: string, openBlob: (name: string) => Blob): Fate {
  const seen = lookFor(path, (found) => fateOf(entry, path, found, openBlob));
  if (typeof seen === "string") return seen;
  throw inTheWay(entry, path, seen?.why ?? "Something comes and goes there right now.");
}

/** Undefined when nothing stands there. */
function lookFor<T>(path: string, use: (found: Found) => T): T | { readonly why: string } | undefined {
  try {
    using found = find(path);
    return found && use(found);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === "ELOOP") return { why: "A symbolic link stands on the way to it." };
    return { why: `Looking at it failed with ${error.errno}.` };
  }
}

function fateOf(
  entry: Entry,
  path: string,
  found: Found,
  openBlob: (name: string) => Blob,
): Fate | { readonly why: string } {
  if (isSame(entry, found)) return "same";
  const why = whyNot(entry, path, found, openBlob);
  return why === undefined ? "other" : { why };
}

/** Why something else cannot stand for it; undefined when it can, as a boot makes the same again. */
export function whyNot(entry: Entry, path: string, found: Found, openBlob: (name: string) => Blob): string | undefined {
  if (isMadeAtBoot(path)) return undefined;
  const type = typeOf(found.stat);
  if (entry.role === "above" && entry.type !== "S_IFDIR") return type === "S_IFDIR" ? "It is a folder." : undefined;
  if (type === "S_IFDIR" && entry.type === type && (entry.fileSystemRoot || isPutByRoot(path))) return undefined;
  const other = whyOther(entry, found.stat);
  if (other !== undefined) return other;
  if (type === "S_IFLNK") return readLink(found.fd) === entry.target ? undefined : "It leads elsewhere.";
  if (entry.device !== undefined && found.stat.deviceNode !== entry.device) return "It is another device.";
  if (type !== "S_IFREG") return undefined;
  if (entry.size !== undefined && found.stat.size !== entry.size)
    return `It has ${found.stat.size} bytes; it had ${entry.size}.`;
  return hasContents(entry, found, openBlob) ? undefined : "It holds something else than it held.";
}

const PIECE = 1024 ** 2;

/** Another name of a file is as good as the file, which is asked itself. */
function hasContents(entry: Entry, found: Found, openBlob: (name: string) => Blob): boolean {
  const { data, blob, size = 0 } = entry;
  if (data !== undefined) return isFilledWith(found, size, (into, at) => Buffer.from(data, "base64").copy(into, 0, at));
  if (blob === undefined) return true;
  using kept = openBlob(blob);
  return isFilledWith(found, Math.min(size, kept.size), (into, at) => kept.read(into, at));
}

function isFilledWith(found: Found, size: number, read: (into: Buffer, at: number) => void): boolean {
  const fd = openPath(found.via, O.O_NONBLOCK);
  try {
    for (let at = 0; at < size; at += PIECE) {
      const [there, here] = [Buffer.alloc(Math.min(PIECE, size - at)), Buffer.alloc(Math.min(PIECE, size - at))];
      readSync(fd, there, 0, there.length, at);
      read(here, at);
      if (!there.equals(here)) return false;
    }
    return true;
  } finally {
    closeSync(fd);
  }
}

/** What stands in the way of making something in a folder that is there already. */
function refuseFolder(path: string, entry: Entry | undefined, below: Entry): Refusal | undefined {
  const seen = lookFor(path, (found) => ({ why: whyNotIn(path, { entry, identity: below.parentDirectory }, found) }));
  if (seen === undefined) {
    return failures.FILE_MISSING.folder({ below: below.path, path });
  }
  return seen.why === undefined ? undefined : otherFolder(path, seen.why);
}

export function otherFolder(path: string, why: string): Refusal {
  return failures.CARRIED_TAKEN({ path, what: "a folder", why });
}

export function inTheWay({ type }: Entry, path: string, why: string): Refusal {
  return failures.CARRIED_TAKEN({ path, what: WORDS[type], why });
}
