/** One swap at a time, and nothing left of earlier ones that holds the memory of processes. */
import { closeSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { attempt } from "../sys/call.ts";
import { LOCK_EX_NB } from "../abi/locks.ts";
import { ERRNO } from "../abi/errno.ts";
import { O } from "../abi/fcntl.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError } from "../errors/failure.ts";
import { errnoOf } from "../lib/no-such-file.ts";
import { removeImage } from "../image/thawed/remove.ts";
import { MARK } from "../image/thawed/mark.ts";
import { openPath } from "../resources/file/path-file.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";
import {
  defaultRehearsalRoot,
  defaultSwapRoot,
  isPending,
  ownImages,
  readRecordsApart,
  RECORD,
  type SwapRecord,
} from "./store.ts";
import { PLAIN_QUARANTINE_FILE, QUARANTINE_FILE } from "./network.ts";

/** Who only tidies up has the lock for a moment. */
const TIDYING_MS = 500;

/**
 * There is one place for a loaded kernel in a machine: whoever comes second would take it from the first. `doing` is
 * what the other one is about to do, and `patience` how many milliseconds it may take to let go.
 */
export function lockRoot(root: string, doing = "change the kernel", patience = TIDYING_MS): Disposable {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const fd = openPath(OWN_VIEW.at(root), O.O_DIRECTORY);
  const deadline = Date.now() + patience;
  do {
    if (attempt("flock", fd, LOCK_EX_NB) !== -ERRNO.EAGAIN) return { [Symbol.dispose]: () => closeSync(fd) };
    if (patience > 0) sleepMicroseconds(10_000);
  } while (Date.now() < deadline);
  closeSync(fd);
  throw failures.SWAP_IN_PROGRESS({ doing, root });
}

/** Removes what killed swaps and rehearsals have left, unless one is going on. Never fails: the next swap says what is wrong. */
export function tidySwaps(roots: readonly string[] = [defaultSwapRoot(), defaultRehearsalRoot()]): void {
  for (const root of roots) {
    if (!existsSync(root)) continue;
    try {
      using _ = lockRoot(root, undefined, 0);
      removeForgotten(root);
    } catch (error) {
      if (!(error instanceof KmonteError) && errnoOf(error) === undefined) throw error;
    }
  }
}

/** So many swaps stay on record of which nothing but the record is left. */
const KEPT_RECORDS = 100;

/** What a killed one has left behind, images of swaps that are done, and old records. Called by who has the lock. */
export function removeForgotten(root: string): void {
  // Names as newSwapDirectory gives them; what else stands there is somebody's own.
  const ids = readdirSync(root).filter((id) => /^\d{8}T\d{6}Z(-\d+)?$/.test(id) && !isPending(root, id));
  for (const id of ids) {
    if (!existsSync(join(root, id, RECORD))) rmSync(join(root, id), { recursive: true, force: true });
    else for (const record of readable(root, id)) if (record.state === "done") forget(root, record);
  }
  const bare = ids.filter((id) => isRecordOnly(join(root, id))).sort();
  for (const id of bare.slice(0, -KEPT_RECORDS)) rmSync(join(root, id), { recursive: true, force: true });
}

/** Besides the record there may be marks of removed images, and what a killed one was about to replace the record with. */
function isRecordOnly(directory: string): boolean {
  if (!existsSync(join(directory, RECORD))) return false;
  const inside = readdirSync(directory, { recursive: true, withFileTypes: true });
  const small = inside.filter(({ name }) => name === RECORD || name === MARK || name.startsWith(`.${RECORD}.`));
  return inside.every((entry) => entry.isDirectory() || small.includes(entry));
}

/** One that is broken is for a person to look at. */
function readable(root: string, id: string): SwapRecord[] {
  return readRecordsApart(root, (one) => one === id).records;
}

/** Removes what a swap that came to its end need not keep: the memory of its processes, the ends of its connections. */
export function forget(root: string, record: SwapRecord): void {
  if (record.keep) return;
  if (record.directory !== undefined) removeImage(record.directory);
  // What was not thawed is all that is left of it.
  for (const [directory, units] of ownImages(record))
    if (units.every(({ failure }) => failure === undefined)) removeImage(directory);
  for (const name of [QUARANTINE_FILE, PLAIN_QUARANTINE_FILE]) rmSync(join(root, record.id, name), { force: true });
}
