/**
 * Events that nobody has read when an inotify instance is frozen (inotify(7)). To read them is to take them away, and
 * no queue takes events from outside: what stands in it after the thaw is the kernel's own word for events that were
 * lost, IN_Q_OVERFLOW, after which a program looks at everything anew.
 */
import { closeSync } from "node:fs";
import { call, withStruct, withText } from "../../sys/call.ts";
import { MFD, O } from "../../abi/fcntl.ts";
import { IN } from "../../abi/inotify.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { readSysctl } from "../namespace/sysctls.ts";
import { openPath } from "../file/path-file.ts";
import { queuedBytes } from "./watched-file.ts";

/** struct inotify_event without a name. */
const EVENT = 16;
const CHUNK = 1024 * EVENT;
/** More would take seconds to fill. */
export const MOST_EVENTS = 262_144;

/** How many events a queue takes before the kernel says that it overflows. */
export function queueLimit(): number {
  return Number(readSysctl("fs/inotify/max_queued_events") ?? 16_384);
}

/**
 * Puts IN_Q_OVERFLOW into the queue of a fresh instance, as the kernel does it: the queue is filled with events of
 * files that nobody else has until it overflows, and they are read again. What would tell that their watches have gone
 * (IN_IGNORED) finds no room in a queue that is full.
 */
export function overflow(fd: LocalFd): void {
  const about = "Telling an inotify instance that events were lost";
  const limit = queueLimit();
  const files: number[] = [];
  const open = (name: string): number => {
    const made = withText(name, (text) => call("memfd_create", about, text, MFD.MFD_CLOEXEC));
    files.push(made);
    // The descriptor that made the file tells nobody (FMODE_NONOTIFY).
    files.push(openPath(`/proc/self/fd/${made}`, O.O_RDWR));
    return files.at(-1) as number;
  };
  try {
    const pair = [open("first"), open("second")];
    const watches = pair.map((file) =>
      withText(`/proc/self/fd/${file}`, (path) => call("inotify_add_watch", about, fd, path, IN.IN_MODIFY)),
    );
    withStruct(CHUNK, (_, address) => {
      // Like events in a row become one: the two files take turns.
      for (let i = 0; i <= limit; i += 1) call("pwrite64", about, pair[i % 2] as number, address, 1, 0);
      for (const watch of watches) call("inotify_rm_watch", about, fd, watch);
      let left = Math.min(limit * EVENT, queuedBytes(fd) - EVENT);
      while (left > 0) left -= call("read", about, fd, address, Math.min(left, CHUNK));
    });
  } finally {
    for (const file of files) closeSync(file);
  }
  if (queuedBytes(fd) === EVENT) return;
  throw failures.INOTIFY_OVERFLOW({ limit, queued: queuedBytes(fd), wanted: EVENT });
}
