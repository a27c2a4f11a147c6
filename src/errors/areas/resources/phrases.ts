/** Sentences that many refusals of open files share. */
import { type Entry, type NamedFile, type NamedProcess, refused } from "../../entry.ts";
import type { FailureFacts, FailureText, Refusal } from "../../failure.ts";

type OfFile = Entry<{ readonly file: NamedFile }, Refusal>;
type Telling = FailureText & { readonly facts: FailureFacts };

const CLOSE_SOCKET = "Let the program close it first, or leave this process out.";

/** A socket: `has` completes "Process … has …", `why` follows its descriptor. */
export function ofSocket(file: NamedFile, has: string, why: string, remedy = CLOSE_SOCKET): Telling {
  return {
    what: `Process ${file.pid} (${file.command}) has ${has}.`,
    why: `Descriptor ${file.fd}: ${why}`,
    remedy,
    facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "socket" },
  };
}

/** A file of which the kernel tells too little to make it again: `has` completes "Process … has …". */
export function inKernel(file: NamedFile, has: string, remedy: string): Telling {
  return {
    what: `Process ${file.pid} (${file.command}) has ${has}.`,
    why: `Descriptor ${file.fd} leads to ${file.link}, whose state lies in the kernel alone.`,
    remedy,
    facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
  };
}

export function refusedInKernel(has: string, remedy: string): OfFile {
  return refused(({ file }: { readonly file: NamedFile }) => inKernel(file, has, remedy));
}

/** A mapping: `is` follows the words that name it. */
export function refusedMapping(
  is: string,
  remedy: string,
): Entry<{ readonly process: NamedProcess; readonly start: string; readonly path: string }, Refusal> {
  return refused(({ process, start, path }) => ({
    what: `Process ${process.pid} (${process.command}) has memory that cannot be frozen.`,
    why: `The mapping at ${start} (${path}) ${is}.`,
    remedy,
    facts: { pid: process.pid, command: process.command, address: start, resource: "mapping" },
  }));
}
