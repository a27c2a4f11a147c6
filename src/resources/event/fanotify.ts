/** A fanotify group (fanotify(7)) with no event that waits to be read or answered: what it marks, and how it tells. */
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { call, withText } from "../../sys/call.ts";
import { FAN, FAN_INIT, FAN_MARK } from "../../abi/fanotify.ts";
import { AT_FDCWD, OPEN_STATUS } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileKind } from "../contract.ts";
import { identityAt } from "../file/reopen.ts";
import { deviceOf, findWatched, queuedBytes, watchedSchema, reachWatched } from "./watched-file.ts";

const mark = v.strictObject({
  markType: v.picklist(["inode", "mount", "filesystem"]),
  ...watchedSchema,
  /** FAN_… names joined by |: what is told, and what is not. */
  events: v.string(),
  ignored: v.string(),
  /** FAN_MARK_… names joined by |. */
  flags: v.string(),
});
type Mark = v.InferOutput<typeof mark>;

const schema = v.strictObject({
  /** Flags of fanotify_init(2); those of files that come with events. */
  flags: v.string(),
  eventFlags: v.string(),
  marks: v.array(mark),
});

const ASKED = Object.values(FAN).reduce((all: number, bit) => (all | bit) >>> 0, 0);

export const fanotify: FileKind<v.InferOutput<typeof schema>, "fanotify"> = {
  name: "fanotify",
  schema,
  recognise: (file) => file.link === "anon_inode:[fanotify]",
  freeze(file) {
    refuseQueued(file);
    const lines = file.info.rest.flatMap(([name, value]) => {
      const text = `${name.replace(/^fanotify ?/, "")}:${value}`;
      return name.startsWith("fanotify") ? [text] : [];
    });
    const group = lines.find((line) => line.startsWith("flags:")) ?? "";
    return {
      flags: formatFlags(FAN_INIT, field(group, "flags")),
      eventFlags: formatFlags(OPEN_STATUS, field(group, "event-flags")),
      marks: lines.filter((line) => line !== group).map((line) => readMark(file, line)),
    };
  },
  thaw({ flags, eventFlags, marks }, context) {
    const [how, files] = [parseFlags(FAN_INIT, flags), parseFlags(OPEN_STATUS, eventFlags)];
    const fd = context.keep(call("fanotify_init", "Making a fanotify group", how, files) as LocalFd);
    // Last: nothing that thawing does shall be told.
    context.during("arm", () => {
      for (const one of marks) addMark(fd, one, context);
    });
    return fd;
  },
};

function field(line: string, name: string): number {
  return Number.parseInt(new RegExp(`(?:^|[ :])${name}:([0-9a-f]+)`).exec(line)?.[1] ?? "0", 16);
}

/** Events cannot be put into another queue, and reading them here would take them away. */
function refuseQueued(file: OpenFile): void {
  const bytes = queuedBytes(file.local);
  if (bytes === 0) return;
  throw failures.FANOTIFY_EVENTS({ file, bytes });
}

function readMark(file: OpenFile, line: string): Mark {
  const base = {
    events: formatFlags(FAN, (field(line, "mask") & ASKED) >>> 0),
    ignored: formatFlags(FAN, (field(line, "ignored_mask") & ASKED) >>> 0),
    flags: formatFlags(FAN_MARK, field(line, "mflags")),
  };
  if (line.startsWith("ino:")) {
    const device = deviceOf(/sdev:([0-9a-f]+)/.exec(line)?.[1] ?? "0");
    const inode = BigInt(`0x${/ino:([0-9a-f]+)/.exec(line)?.[1] ?? "0"}`);
    const watched = findWatched(file, line, device, inode);
    return watched ? { markType: "inode", ...watched, ...base } : lost(file, `inode ${inode} of device ${device}`);
  }
  const mounts = parseMountInfo(readFileSync(procPath(file.task, "mountinfo"), "utf8"));
  const onMount = line.startsWith("mnt_id:");
  const found = onMount
    ? mounts.find(({ id }) => id === field(line, "mnt_id"))
    : mounts.find(({ device }) => device === deviceOf(/sdev:([0-9a-f]+)/.exec(line)?.[1] ?? "0"));
  if (!found) return lost(file, line);
  return {
    markType: onMount ? "mount" : "filesystem",
    path: found.mountPoint,
    identity: identityAt(file.context.mounts.at(found.mountPoint)),
    ...base,
  };
}

function lost(file: OpenFile, what: string): never {
  throw failures.FANOTIFY_FILE({ file, what });
}

const ON = { inode: 0, mount: FAN_MARK.FAN_MARK_MOUNT, filesystem: FAN_MARK.FAN_MARK_FILESYSTEM } as const;
const OF_IGNORED = FAN_MARK.FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK.FAN_MARK_IGNORE;

function addMark(fd: LocalFd, state: Mark, context: ThawContext): void {
  // A magic link is to be followed: with FAN_MARK_DONT_FOLLOW it would be marked itself.
  const flags = parseFlags(FAN_MARK, state.flags) & ~FAN_MARK.FAN_MARK_DONT_FOLLOW;
  reachWatched(state, context, (via) => addMarkAt(fd, state, flags, via));
}

function addMarkAt(fd: LocalFd, state: Mark, flags: number, via: string): void {
  const base = FAN_MARK.FAN_MARK_ADD | ON[state.markType];
  const add = (how: number, events: string): void => {
    const mask = parseFlags(FAN, events);
    if (mask === 0) return;
    withText(via, (path) => call("fanotify_mark", `Marking ${via}`, fd, base | how, mask, AT_FDCWD, path));
  };
  add(flags & ~OF_IGNORED, state.events);
  const ignore = (flags & FAN_MARK.FAN_MARK_IGNORE) === 0 ? FAN_MARK.FAN_MARK_IGNORED_MASK : 0;
  add(flags | ignore, state.ignored);
}
