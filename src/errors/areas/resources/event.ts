/** Descriptors for events: epoll, inotify, fanotify, pidfd. */
import {
  failed,
  refused,
  refusedForNow,
  type NamedFile,
  type NamedProcess,
  type Numbers,
  type Texts,
} from "../../entry.ts";
import type { FailureText } from "../../failure.ts";

function eventsWait(who: string, limit: number, most: number): FailureText {
  return {
    what: `${who}, which could only be told of as lost.`,
    why: `Queues of ${limit} events are filled for that (fs.inotify.max_queued_events), which takes too long.`,
    remedy: `Try again when they have been read, or lower the setting to ${most} or less.`,
  };
}

export const event = {
  EPOLL_TARGET: refused(({ file, fd }: Numbers<"fd"> & { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) watches a file that no process of the set has open.`,
    why: `The epoll set at descriptor ${file.fd} has an entry for number ${fd}, whose file is open elsewhere only.`,
    remedy:
      "Freeze the process that has the file open as well, or let this one remove the entry before it closes a file.",
    facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "epoll" },
  })),
  FANOTIFY_EVENTS: refusedForNow(({ file, bytes }: Numbers<"bytes"> & { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) has not read all events of a fanotify group.`,
    why: `${bytes} bytes of events wait at descriptor ${file.fd}, and no kernel takes them back.`,
    remedy: "Try again in a moment, when the program has read them.",
    facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "fanotify" },
  })),
  FANOTIFY_FILE: refused(({ file, what }: Texts<"what"> & { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) watches a file whose name cannot be found.`,
    why: `A mark of the fanotify group at descriptor ${file.fd} is on ${what}.`,
    remedy: "Let the program remove the mark first.",
    facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "fanotify" },
  })),
  INOTIFY_FILE: refused(
    ({
      file,
      wd,
      inode,
      device,
    }: Texts<"device"> & { readonly file: NamedFile; readonly wd?: string | undefined; readonly inode: bigint }) => ({
      what: `Process ${file.pid} (${file.command}) watches a file whose name cannot be found.`,
      why: `Watch ${wd} of descriptor ${file.fd} is on inode ${inode} of device ${device}.`,
      remedy: "Let the program remove the watch first.",
      facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "inotify" },
    }),
  ),
  INOTIFY_NUMBER: failed(({ watched, got, wd }: Numbers<"got" | "wd"> & { readonly watched: string | undefined }) => ({
    what: `A watch on ${watched} could not get its number back.`,
    why: `The kernel gave ${got} instead of ${wd}.`,
    remedy: "Thaw on a kernel that was built with CONFIG_CHECKPOINT_RESTORE.",
  })),
  PIDFD_OUTSIDE: {
    named: refused(
      ({ file, other, otherCommand }: { readonly file: NamedFile } & Numbers<"other"> & Texts<"otherCommand">) => ({
        what: `Process ${file.pid} (${file.command}) holds a process that is not frozen with it.`,
        why: `Descriptor ${file.fd} is a pidfd of ${other} (${otherCommand}).`,
        remedy: `Freeze ${other} together with ${file.pid}.`,
        facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "pidfd" },
      }),
    ),
    unnamed: refused(({ file }: { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) holds a process that is not frozen with it.`,
      why: `Descriptor ${file.fd} is a pidfd of a process in another pid namespace.`,
      remedy: "Let the program close it first.",
      facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "pidfd" },
    })),
  },
  INOTIFY_OVERFLOW: failed(({ limit, queued, wanted }: Numbers<"limit" | "queued" | "wanted">) => ({
    what: "An inotify instance could not be told that events were lost.",
    why: `Its queue of ${limit} events holds ${queued} bytes instead of ${wanted}.`,
    remedy: "Leave fs.inotify.max_queued_events alone during the thaw, and try again.",
  })),

  INOTIFY_EVENTS: {
    toFreeze: refusedForNow(
      ({ pid, command, fd, bytes, limit, most }: NamedProcess & Numbers<"fd" | "bytes" | "limit" | "most">) => ({
        ...eventsWait(
          `Process ${pid} (${command}) has ${bytes} bytes of events waiting at descriptor ${fd}`,
          limit,
          most,
        ),
        facts: { pid, fd, command, resource: "inotify" },
      }),
    ),
    toThaw: refusedForNow(({ limit, most }: Numbers<"limit" | "most">) =>
      eventsWait("The processes had events waiting", limit, most),
    ),
  },
};
