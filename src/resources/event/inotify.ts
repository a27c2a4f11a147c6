/** inotify(7): watches on files, by number. */
import * as v from "valibot";
import { attempt, call, withText } from "../../sys/call.ts";
import { IN, INOTIFY_IOC_SETNEXTWD } from "../../abi/inotify.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileKind } from "../contract.ts";
import { settling } from "../file/transient.ts";
import { MOST_EVENTS, overflow, queueLimit } from "./unread-events.ts";
import { deviceOf, findWatched, queuedBytes, watchedSchema, reachWatched } from "./watched-file.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const watch = v.strictObject({
  wd: v.number(),
  /** IN_… names joined by |. */
  events: v.string(),
  ...watchedSchema,
});
type Watch = v.InferOutput<typeof watch>;

const schema = v.strictObject({
  watches: v.array(watch),
  /** Events waited to be read. */
  overflowed: v.optional(v.literal(true)),
});

/** The bits that a program can ask for; the kernel shows some of its own as well. */
const ASKED = Object.values(IN).reduce((all: number, bit) => (all | bit) >>> 0, 0);

export const inotify: FileKind<v.InferOutput<typeof schema>, "inotify"> = {
  name: "inotify",
  schema,
  differs: [
    {
      what: "events of inotify(7) that nobody had read: the kernel tells that some were lost (IN_Q_OVERFLOW) in their place",
      met: ({ overflowed }) => overflowed === true,
    },
    { what: "the number of a watch of inotify(7) that was removed last: it may be given again" },
  ],
  forUser: ofAnyUser,
  *paths({ watches }) {
    for (const { path, identity } of watches) if (path !== undefined) yield { path, identity, flags: 0 };
  },
  needs: () => [{ option: "CONFIG_INOTIFY_USER", what: "inotify(7)" }],
  recognise: (file) => file.link === "anon_inode:inotify",
  freeze(file) {
    const lost = losesEvents(file);
    const watches = file.info.rest.flatMap(([name, value]) => (name === "inotify wd" ? [readWatch(file, value)] : []));
    return { watches: watches.toSorted((a, b) => a.wd - b.wd), ...(lost && { overflowed: lost }) };
  },
  check({ overflowed: lost }) {
    return lost && queueLimit() > MOST_EVENTS
      ? failures.INOTIFY_EVENTS.toThaw({ limit: queueLimit(), most: MOST_EVENTS })
      : undefined;
  },
  thaw({ watches, overflowed: lost }, context) {
    const fd = context.keep(call("inotify_init1", "Making an inotify instance", 0) as LocalFd);
    if (lost) overflow(fd);
    // Last: nothing that thawing does shall be seen by the watches.
    context.during("arm", () => addWatches(fd, watches, context));
    return fd;
  },
};

function losesEvents({ local, pid, fd, command, context }: OpenFile): true | undefined {
  const bytes = queuedBytes(local);
  if (bytes === 0) return undefined;
  const who = `Process ${pid} (${command}) has ${bytes} bytes of events waiting at descriptor ${fd}`;
  if (queueLimit() > MOST_EVENTS)
    throw failures.INOTIFY_EVENTS.toFreeze({ pid, command, fd, bytes, limit: queueLimit(), most: MOST_EVENTS });
  // A program that is about to read them gets the time to do so.
  context.restless(() => settling(local, (own) => queuedBytes(own) === 0));
  context.note(`${who}. After a thaw inotify tells it that events were lost (IN_Q_OVERFLOW) in their place.`);
  return true;
}

function readWatch(file: OpenFile, text: string): Watch {
  const [, wd, inode = "0", sdev = "0", mask = "0"] =
    /^(\d+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+)/.exec(text) ?? [];
  const device = deviceOf(sdev);
  const base = { wd: Number(wd), events: formatFlags(IN, Number.parseInt(mask, 16) & ASKED) };
  const found = findWatched(file, text, device, BigInt(`0x${inode}`));
  if (found) return { ...base, ...found };
  throw failures.INOTIFY_FILE({ file, wd, inode: BigInt(`0x${inode}`), device });
}

function addWatches(fd: LocalFd, watches: readonly Watch[], context: ThawContext): void {
  for (const { wd, events, ...watched } of watches) {
    // Where the kernel cannot be told, numbers go up from 1.
    attempt("ioctl", fd, INOTIFY_IOC_SETNEXTWD, wd);
    const mask = parseFlags(IN, events);
    const about = `Watching ${watched.path ?? watched.file}`;
    const got = reachWatched(watched, context, (via) =>
      withText(via, (address) => call("inotify_add_watch", about, fd, address, mask)),
    );
    if (got !== wd) {
      throw failures.INOTIFY_NUMBER({ watched: watched.path ?? watched.file, got, wd });
    }
  }
  const last = watches.at(-1)?.wd;
  if (last !== undefined) attempt("ioctl", fd, INOTIFY_IOC_SETNEXTWD, last + 1);
}
