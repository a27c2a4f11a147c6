/** inotify(7): watches on files, by number. */
import { placed } from "../../abi/namespaces.ts";
import { closeSync, readlinkSync } from "node:fs";
import * as v from "valibot";
import { attempt, call, withStruct, withText } from "../../abi/call.ts";
import { FIONREAD, IN, INOTIFY_IOC_SETNEXTWD } from "../../abi/inotify.ts";
import { fstat } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { KmonteError, Refusal } from "../../lib/errors.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import type { FileKind, OpenFile, ThawContext } from "../contract.ts";
import { nameOfOpen, openByHandle, searchName } from "../objects/find-inode.ts";

const watch = v.strictObject({
  wd: v.number(),
  /** IN_… names joined by |. */
  events: v.string(),
  /** A file that has a name, or … */
  path: v.optional(v.string()),
  /** … an open file of the set that has none any more. */
  file: v.optional(v.string()),
});
type Watch = v.InferOutput<typeof watch>;

const schema = v.strictObject({ watches: v.array(watch) });

/** The bits that a program can ask for; the kernel shows some of its own as well. */
const ASKED = Object.values(IN).reduce((all: number, bit) => (all | bit) >>> 0, 0);

export const inotify: FileKind<v.InferOutput<typeof schema>> = {
  name: "inotify",
  schema,
  recognise: (file) => file.link === "anon_inode:inotify",
  freeze(file) {
    refuseQueued(file);
    const watches = file.info.rest.flatMap(([name, value]) => (name === "inotify wd" ? [readWatch(file, value)] : []));
    return { watches: watches.toSorted((a, b) => a.wd - b.wd) };
  },
  thaw({ watches }, context) {
    const fd = context.keep(call("inotify_init1", "Making an inotify instance", 0) as LocalFd);
    // Last: nothing that thawing does shall be seen by the watches.
    context.atResume(() => addWatches(fd, watches, context));
    return fd;
  },
};

/** Events that were not read cannot be put into another queue, and reading them here would take them away. */
function refuseQueued(file: OpenFile): void {
  const bytes = withStruct(4, (buffer, address) => {
    call("ioctl", "Asking for queued events", file.local, FIONREAD, address);
    return buffer.readInt32LE(0);
  });
  if (bytes === 0) return;
  throw new Refusal(
    "INOTIFY_EVENTS",
    {
      what: `Process ${file.pid} (${file.command}) has not read all events of an inotify instance.`,
      why: `${bytes} bytes of events wait at descriptor ${file.fd}, and no kernel takes them back.`,
      remedy: "Try again in a moment, when the program has read them.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, resource: "inotify" },
  );
}

function readWatch(file: OpenFile, text: string): Watch {
  const [, wd, inode = "0", sdev = "0", mask = "0"] =
    /^(\d+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+)/.exec(text) ?? [];
  const [, type, handle] = /fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+)/.exec(text) ?? [];
  const device = Number.parseInt(sdev, 16);
  const number = `${device >>> 20}:${device & 0xfffff}`;
  const base = { wd: Number(wd), events: formatFlags(IN, Number.parseInt(mask, 16) & ASKED) };
  const bytes = Buffer.from(handle ?? "", "hex");
  const local =
    type === undefined ? undefined : openByHandle(file.pid, number, { type: Number.parseInt(type, 16), bytes });
  try {
    const found = findWatched(file, local, number, BigInt(`0x${inode}`));
    if (found) return { ...base, ...found };
  } finally {
    if (local !== undefined) closeSync(local);
  }
  throw new Refusal(
    "INOTIFY_FILE",
    {
      what: `Process ${file.pid} (${file.command}) watches a file whose name cannot be found.`,
      why: `Watch ${wd} of descriptor ${file.fd} is on inode ${BigInt(`0x${inode}`)} of device ${number}.`,
      remedy: "Let the program remove the watch first.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, resource: "inotify" },
  );
}

function findWatched(
  file: OpenFile,
  local: LocalFd | undefined,
  device: string,
  inode: bigint,
): Pick<Watch, "path" | "file"> | undefined {
  const hints = [readlinkSync(`/proc/${file.pid}/cwd`)];
  if (local !== undefined) {
    const seen = fstat(local);
    // A file without any link is not searched for.
    const path = seen.links === 0 ? undefined : nameOfOpen(local, file.pid, hints);
    if (path !== undefined) return { path };
    const open = file.context
      .openFiles()
      .find(([, { stat }]) => stat.inode === seen.inode && stat.device === seen.device);
    return open && { file: open[0] };
  }
  const open = file.context.openFiles().find(([, { stat }]) => stat.inode === inode && stat.device === device);
  const seen = open?.[1].stat ?? { ...fstat(file.local), inode, device };
  const path = searchName(file.pid, seen, hints);
  if (path !== undefined) return { path };
  return open && { file: open[0] };
}

function addWatches(fd: LocalFd, watches: readonly Watch[], context: ThawContext): void {
  for (const { wd, events, path, file } of watches) {
    const via = (path === undefined ? undefined : placed(path)) ?? `/proc/self/fd/${context.file(file as string)}`;
    // Where the kernel cannot be told, numbers go up from 1.
    attempt("ioctl", fd, INOTIFY_IOC_SETNEXTWD, wd);
    const mask = parseFlags(IN, events);
    const got = withText(via, (address) => call("inotify_add_watch", `Watching ${via}`, fd, address, mask));
    if (got !== wd) {
      throw new KmonteError("INOTIFY_NUMBER", {
        what: `A watch on ${via} could not get its number back.`,
        why: `The kernel gave ${got} instead of ${wd}.`,
        remedy: "Thaw on a kernel that was built with CONFIG_CHECKPOINT_RESTORE.",
      });
    }
  }
  const last = watches.at(-1)?.wd;
  if (last !== undefined) attempt("ioctl", fd, INOTIFY_IOC_SETNEXTWD, last + 1);
}
