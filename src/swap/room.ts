/** Whether there is room for the images of processes, found out before anything is stopped. */
import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { memoryToWrite } from "../freeze/write/memory-size.ts";
import { failures } from "../errors/catalogue.ts";

/** What an image holds besides memory, in bytes: states, unread data, files that come along. */
const BESIDES = 16 << 20;

/** Throws a {@link Refusal} when the file system of `root`, which need not exist yet, has less room than memory to write. */
export function requireRoom(root: string, pids: readonly number[]): void {
  let place = root;
  while (!existsSync(place)) place = dirname(place);
  const { bavail, bsize } = statfsSync(place);
  const free = bavail * bsize;
  const needed = memoryToWrite(pids).total + BESIDES;
  if (free >= needed) return;
  const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  throw failures.NO_ROOM_FOR_IMAGES({ root, needed: mebibytes(needed), free: mebibytes(free) });
}
