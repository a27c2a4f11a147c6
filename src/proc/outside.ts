/**
 * What the rest of the machine has in common with a set of processes: seen in one walk through /proc, before the set is
 * stopped, because that takes a while where many run. What it finds is looked at again when the set stands still.
 */
import { readFileSync } from "node:fs";
import { orIfGone } from "../lib/no-such-file.ts";
import { findHolders, type Held } from "./holders.ts";
import { procPath } from "../sys/task.ts";
import type { Task } from "../lib/brand.ts";
import { askOutside, childrenOf, linksOf, readdirOrEmpty } from "./read.ts";

/** A shared mapping. */
interface Mapper {
  readonly pid: number;
  readonly writes: boolean;
}

export interface Outside {
  /** Descriptors, by what /proc/PID/fd/N says of them. */
  readonly holders: ReadonlyMap<string, readonly Held[]>;
  /** Who maps memory that has no file any more, or never had one, by {@link memoryKey}. */
  readonly mappers: ReadonlyMap<string, readonly Mapper[]>;
}

/** The files of nobody: for a look that is to find nothing outside. */
export const NOTHING_OUTSIDE: Outside = { holders: new Map(), mappers: new Map() };

/** Everybody may have them open, and it says nothing. */
const PLAIN = /^\/dev\/(null|zero|full|random|urandom|tty)$/;

/** Mappings as maps writes them: device in hexadecimal, and inode. */
export function memoryKey(device: string, inode: number): string {
  return `${device} ${inode}`;
}

/** Looks for all that the processes and their descendants have open or mapped now, and for terminals. */
export function lookOutside(roots: Iterable<number>): Outside {
  const members = withDescendants(roots);
  const links = new Set([...members].flatMap(allLinksOf).filter((link) => !PLAIN.test(link)));
  const memory = new Set([...members].flatMap(memoryOf));
  const skip = (pid: number): boolean => pid === process.pid || members.has(pid);
  const holders = findHolders((link) => links.has(link) || link.startsWith("/dev/pts/"), skip);
  return { holders, mappers: memory.size === 0 ? new Map() : findMappers(memory, skip) };
}

function withDescendants(roots: Iterable<number>): ReadonlySet<number> {
  const members = new Set<number>();
  const add = (pid: number): void => {
    if (members.has(pid)) return;
    members.add(pid);
    for (const child of childrenOf(pid)) add(child);
  };
  for (const pid of roots) add(pid);
  return members;
}

/** Descriptors, and files that are mapped by one that was closed. */
function allLinksOf(pid: number): string[] {
  const open = linksOf(pid).values();
  const mapped = sharedWithoutFile(mapsOf(pid)).map(({ path }) => path);
  return [...open, ...mapped];
}

function memoryOf(pid: number): string[] {
  return sharedWithoutFile(mapsOf(pid)).map(({ key }) => key);
}

/** Memory that no path leads to: anonymous and shared, memfds, deleted files. That of System V is another kind. */
export function isWithoutFile(path: string): boolean {
  return /^(\/.* \(deleted\)|\[anon_shmem:.*)$/.test(path) && !/^\/(SYSV[0-9a-f]{8}|\[aio\])/.test(path);
}

function sharedWithoutFile(maps: string): { key: string; path: string; writes: boolean }[] {
  return [...maps.matchAll(SHARED)].flatMap(([, write, device = "", inode, path = ""]) =>
    isWithoutFile(path) ? [{ key: memoryKey(device, Number(inode)), path, writes: write === "w" }] : [],
  );
}

const SHARED = /^[0-9a-f]+-[0-9a-f]+ .([w-]).s [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) (\d+) +(.*)$/gm;

function findMappers(memory: ReadonlySet<string>, skip: (pid: number) => boolean): Map<string, Mapper[]> {
  const mappers = new Map<string, Mapper[]>();
  for (const name of readdirOrEmpty("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || skip(pid)) continue;
    for (const { key, writes } of sharedWithoutFile(mapsOf(pid))) {
      if (!memory.has(key)) continue;
      const known = mappers.get(key);
      if (known) known.push({ pid, writes });
      else mappers.set(key, [{ pid, writes }]);
    }
  }
  return mappers;
}

/** /proc/PID/maps of a process that we have not stopped; empty when it is gone. */
export function mapsOf(pid: number): string {
  const read = (task: Task): string => orIfGone(() => readFileSync(procPath(task, "maps"), "latin1"), "");
  return askOutside(pid, read, (text) => text === "").told;
}
