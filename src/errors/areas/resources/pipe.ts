/** Pipes. */
import { refused, type NamedFile, type Numbers, type Texts } from "../../entry.ts";

export const pipe = {
  EXTERNAL_PIPE: refused(
    ({
      file,
      otherPid,
      otherCommand,
      end,
      otherFd,
    }: Texts<"otherCommand" | "end"> & Numbers<"otherPid" | "otherFd"> & { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) shares a pipe with a process that is not frozen with it.`,
      why: `Descriptor ${file.fd} leads to ${file.link}, and process ${otherPid} (${otherCommand}) holds its ${end} as descriptor ${otherFd}.`,
      remedy: `Freeze ${otherPid} together with ${file.pid}, or start ${file.command} with files instead of the pipe.`,
      facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "pipe" },
    }),
  ),
};
