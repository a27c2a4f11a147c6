/**
 * The stream to the journal that systemd makes standard output and error of a service (systemd.exec(5), StandardOutput=;
 * sd_journal_stream_fd(3)): a connection to /run/systemd/journal/stdout that begins with seven lines about whose lines
 * follow, and goes one way. It is opened anew. Its inode is another one then, so that $JOURNAL_STREAM in the environment
 * names it no more: a program that looks again writes plain lines instead of the journal's own protocol.
 */
import { writeSync } from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { OWN_VIEW } from "../../../sys/mount-view.ts";
import { readFileSync, statSync } from "../../../sys/files.ts";
import { call } from "../../../sys/call.ts";
import { errnoName } from "../../../abi/errno.ts";
import { F, O } from "../../../abi/fcntl.ts";
import { asUserAlone, withRights } from "../../../sys/identity.ts";
import { procPath } from "../../../sys/task.ts";
import { unixAddress } from "../../../abi/sockaddr.ts";
import { SIOCOUTQ } from "../../../abi/socket.ts";
import { ioctlInt, tryAddress } from "../../../sys/socket.ts";
import type { LocalFd, Task } from "../../../lib/brand.ts";
import { failures } from "../../../errors/catalogue.ts";
import type { Refusal } from "../../../errors/failure.ts";
import { orIfGone } from "../../../lib/no-such-file.ts";
import { parseCgroups } from "../../../proc/cgroup.ts";
import type { OpenFile } from "../../freeze-context.ts";
import type { ThawContext } from "../../thaw-context.ts";
import type { SeenSocket } from "./snapshot.ts";

export const journalStreamSchema = v.strictObject({
  /** Where the journal listens; each namespace of it (LogNamespace=) has a place of its own. */
  path: v.string(),
  /** SYSLOG_IDENTIFIER= of its lines (systemd.journal-fields(7)). */
  identifier: v.string(),
  /** The unit whose lines they are; empty when that was not said. */
  unit: v.string(),
  /** Facility and priority of lines that do not say otherwise (syslog(3)). */
  priority: v.number(),
  /** Whether lines may begin with their own priority (sd-daemon(3)). */
  levelPrefix: v.boolean(),
  forwardToSyslog: v.boolean(),
  forwardToKmsg: v.boolean(),
  forwardToConsole: v.boolean(),
});
export type JournalStream = v.InferOutput<typeof journalStreamSchema>;

/** LOG_DAEMON and LOG_INFO (syslog(3)), as services have it. */
const USUAL_PRIORITY = 30;

export function isJournal(listener: string): boolean {
  return /^\/run\/systemd\/journal(\.[^/]+)?\/stdout$/.test(listener);
}

/** `inode` is that of the journal's end. */
export function freezeJournalStream({ file }: SeenSocket, path: string, inode: number): JournalStream {
  if ((ioctlInt(file.local, SIOCOUTQ) ?? 0) > 0) {
    throw failures.UNIX_PENDING_DATA.journal({ file, path });
  }
  const kept = streamOf(file, path, inode);
  const flag = (name: string): boolean => kept.get(name) === "1";
  return {
    path,
    identifier: unescape(kept.get("IDENTIFIER") ?? (kept.size === 0 ? file.command : "")),
    unit: unescape(kept.get("UNIT") ?? (kept.size === 0 ? unitOf(file.task) : "")),
    priority: Number(kept.get("PRIORITY") ?? USUAL_PRIORITY),
    levelPrefix: kept.size === 0 || flag("LEVEL_PREFIX"),
    forwardToSyslog: flag("FORWARD_TO_SYSLOG"),
    forwardToKmsg: flag("FORWARD_TO_KMSG"),
    forwardToConsole: flag("FORWARD_TO_CONSOLE"),
  };
}

/** What the journal keeps for its own restart: a file for each stream, named by device and inode of its end. */
function streamOf({ stat }: OpenFile, path: string, inode: number): ReadonlyMap<string, string> {
  const [major = 0, minor = 0] = stat.device.split(":").map(Number);
  const device = (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
  const text = orIfGone(
    () => readFileSync(OWN_VIEW.at(join(dirname(path), "streams", `${device}:${inode}`)), "utf8"),
    "",
  );
  return new Map(
    text
      .split("\n")
      .filter((line) => line.includes("="))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

/** The journal writes names as C has them. */
function unescape(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})|\\(.)/g, (_, hex?: string, letter?: string) =>
    hex === undefined ? (letter as string) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** The unit that a process belongs to, as its control group says (systemd.resource-control(5)). */
function unitOf(task: Task): string {
  const paths = parseCgroups(orIfGone(() => readFileSync(procPath(task, "cgroup"), "utf8"), ""));
  const parts = (paths["name=systemd"] ?? paths[""] ?? "").split("/");
  return parts.find((part) => /\.(service|scope|socket|mount|swap)$/.test(part)) ?? "";
}

/** What stands in the way of opening it: asked before anything is made. */
export function checkJournal({ path }: JournalStream): Refusal | undefined {
  return orIfGone(() => statSync(OWN_VIEW.at(path)).isSocket(), false)
    ? undefined
    : failures.JOURNAL_MISSING({ path, errno: "ENOENT" });
}

/**
 * Connects the socket and says whose lines come. The journal takes the name of a unit from root alone; from the processes
 * of a user it finds the unit by itself.
 */
export function openJournalStream(fd: LocalFd, stream: JournalStream, context: ThawContext): void {
  const about = "Opening a stream to the journal";
  // Without waiting: nobody may be there to take it.
  call("fcntl", about, fd, F.F_SETFL, O.O_NONBLOCK);
  // Where no unit is to be named, as one of those who have it: the journal asks who has connected (SO_PEERCRED).
  const [rights] = stream.unit === "" ? context.holders : [];
  const address = unixAddress(stream.path);
  const open = (): number => tryAddress("connect", fd, address);
  const connect = (): number => (rights ? withRights(rights, open) : open());
  const result = asUserAlone(connect);
  if (result < 0) throw failures.JOURNAL_MISSING({ path: stream.path, errno: errnoName(result) });
  call("fcntl", about, fd, F.F_SETFL, 0);
  const { identifier, unit, priority } = stream;
  const flags = [stream.levelPrefix, stream.forwardToSyslog, stream.forwardToKmsg, stream.forwardToConsole];
  const lines = [identifier, unit, priority, ...flags.map(Number)].map((line) => String(line).replaceAll("\n", " "));
  writeSync(fd, `${lines.join("\n")}\n`);
}
