/** What becomes of each carried thing at a thaw: it is there, something as good is, it has to be made, or it is in the way. */
import { closeSync, openSync, readFileSync, readlinkSync, readSync, type BigIntStats } from "node:fs";
import { dirname } from "node:path";
import { formatDevice } from "../../abi/stat.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Blob } from "../contract.ts";
import { isSame, lookAt, permissionsOf, typeOf, type Entry } from "./entry.ts";
import { bootId, isMadeAtBoot, ofThisBoot } from "./places.ts";

export type Fate = "same" | "other" | "make" | "leave";
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
  readonly bootId: string;
  readonly entries: readonly Entry[];
}

/** Looks at the machine as it is now and changes nothing. */
export function planFor(state: CarriedState, openBlob: (name: string) => Blob): Plan {
  const sameBoot = state.bootId === bootId();
  const fates = new Map<string, Fate>();
  const problems: Refusal[] = [];
  const steps = state.entries.map((entry): Planned => {
    const path = ofThisBoot(entry.path);
    const fate = ((): Fate => {
      const above = fates.get(dirname(path));
      if (above === "leave") return "leave";
      if (above === "make") return "make";
      const seen = lookAt(path);
      if (!seen) return entry.role === "beside" && above === "same" ? "leave" : "make";
      if (isSame(entry, seen, sameBoot)) return "same";
      const why = whyNot(entry, path, seen, openBlob);
      if (why === undefined) return "other";
      if (entry.role !== "beside") problems.push(inTheWay(entry, path, why));
      return "leave";
    })();
    fates.set(path, fate);
    return { entry, path, fate };
  });
  return { steps, problems };
}

/** Why something else cannot stand for it; undefined when it can, as a boot makes the same again. */
function whyNot(entry: Entry, path: string, seen: BigIntStats, openBlob: (name: string) => Blob): string | undefined {
  if (isMadeAtBoot(path)) return undefined;
  const type = typeOf(seen);
  if (entry.role === "above" && entry.type !== "S_IFDIR") return type === "S_IFDIR" ? "It is a folder." : undefined;
  if (type !== entry.type) return `It is ${WORDS[type]}; it was ${WORDS[entry.type]}.`;
  if (entry.top) return undefined;
  if (type === "S_IFLNK") return readlinkSync(path) === entry.target ? undefined : "It leads elsewhere.";
  const { mode, uid, gid } = permissionsOf(seen);
  if (uid !== entry.uid || gid !== entry.gid)
    return `It belongs to user ${uid} and group ${gid}; it belonged to ${entry.uid} and ${entry.gid}.`;
  if (mode !== entry.mode) return `Its mode is ${octal(mode)}; it was ${octal(entry.mode)}.`;
  if (entry.device !== undefined && formatDevice(seen.rdev) !== entry.device) return "It is another device.";
  if (type !== "S_IFREG") return undefined;
  if (Number(seen.size) !== entry.size) return `It has ${seen.size} bytes; it had ${entry.size}.`;
  return hasContents(entry, path, openBlob) ? undefined : "It holds something else than it held.";
}

/** Another name of a file is as good as the file, which is asked itself. */
function hasContents({ data, blob, size = 0 }: Entry, path: string, openBlob: (name: string) => Blob): boolean {
  if (data !== undefined) return readFileSync(path).equals(Buffer.from(data, "base64"));
  if (blob === undefined) return true;
  using kept = openBlob(blob);
  const fd = openSync(path, "r");
  try {
    for (let at = 0; at < Math.min(size, kept.size); at += PIECE) {
      const [there, here] = [0, 1].map(() => Buffer.alloc(Math.min(PIECE, size - at)));
      readSync(fd, there as Buffer, 0, there?.length ?? 0, at);
      kept.read(here as Buffer, at);
      if (!there?.equals(here as Buffer)) return false;
    }
    return true;
  } finally {
    closeSync(fd);
  }
}

const PIECE = 1024 ** 2;

const WORDS: Readonly<Record<Entry["type"], string>> = {
  S_IFSOCK: "a socket",
  S_IFLNK: "a symbolic link",
  S_IFREG: "a regular file",
  S_IFBLK: "a block device",
  S_IFDIR: "a folder",
  S_IFCHR: "a character device",
  S_IFIFO: "a FIFO",
};

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function inTheWay({ type }: Entry, path: string, why: string): Refusal {
  return new Refusal(
    "CARRIED_TAKEN",
    {
      what: `Something else stands at ${path}, where the processes had ${WORDS[type]}.`,
      why,
      remedy: `Stop what made it and move it away: mv ${path} ${path}.old.`,
    },
    { path },
  );
}
