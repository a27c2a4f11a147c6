/** The other end of a connection, when it is not in the frozen set. */
import { readdirSync } from "../../sys/files.ts";
import { Refusal } from "../../lib/errors.ts";
import type { OpenFile } from "../freeze-context.ts";
import { linksOf, readStat } from "../../proc/read.ts";

/** Who has a socket open: `pid (command)`, by its inode. */
export function holderOf(inode: number): { pid: number; command: string; fd: number } | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    for (const [fd, link] of linksOf(pid)) {
      const command = link === `socket:[${inode}]` ? readStat(pid)?.comm : undefined;
      if (command !== undefined) return { pid, command, fd };
    }
  }
  return undefined;
}

export function externalSocket(file: OpenFile, what: string, inode: number | undefined): Refusal {
  const holder = inode === undefined ? undefined : holderOf(inode);
  const other = holder
    ? `process ${holder.pid} (${holder.command}, descriptor ${holder.fd})`
    : "nobody who can be found";
  return new Refusal(
    "EXTERNAL_SOCKET",
    {
      what: `Process ${file.pid} (${file.command}) is connected to a process that stays outside.`,
      why: `The other end of descriptor ${file.fd} (${what}) belongs to ${other}.`,
      remedy: holder
        ? `Freeze process ${holder.pid} together with it, let one of them close the connection, or freeze with --close-external, which kmonte swap does not have: it then comes back closed, and a program that writes to it without expecting that ends (EPIPE, SIGPIPE).`
        : "Let the program close it first.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, resource: "socket" },
  );
}

export function socketRefusal(
  file: OpenFile,
  code: string,
  what: string,
  why: string,
  remedy = "Let the program close it first, or leave this process out.",
): Refusal {
  return new Refusal(
    code,
    { what: `Process ${file.pid} (${file.command}) has ${what}.`, why: `Descriptor ${file.fd}: ${why}`, remedy },
    { pid: file.pid, fd: file.fd, command: file.command, resource: "socket" },
  );
}
