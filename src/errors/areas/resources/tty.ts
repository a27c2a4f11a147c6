/** Terminals. */
import { refused, refusedForNow, type NamedFile, type Numbers, type Texts } from "../../entry.ts";

export const tty = {
  EXTERNAL_PTY: refused(
    ({
      file,
      path,
      otherPid,
      otherCommand,
      otherFd,
    }: Texts<"path" | "otherCommand"> & Numbers<"otherPid" | "otherFd"> & { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) keeps a terminal that a process outside uses.`,
      why: `Descriptor ${file.fd} is the master side of ${path}, which process ${otherPid} (${otherCommand}) has open as descriptor ${otherFd}.`,
      remedy: `Freeze ${otherPid} together with ${file.pid}.`,
      facts: { pid: file.pid, fd: file.fd, command: file.command, path, resource: "pty" },
    }),
  ),
  PTY_DATA: refusedForNow(({ file, path, why }: Texts<"path" | "why"> & { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) has a terminal with data in it that no one has read yet.`,
    why: `${path}: descriptor ${file.fd} is its master side. ${why}`,
    remedy: "Try again in a moment, when the programs have read them.",
    facts: { pid: file.pid, fd: file.fd, command: file.command, path, resource: "pty" },
  })),
  PTY_TAKEN: refused(({ index }: Numbers<"index">) => ({
    what: `The terminal /dev/pts/${index} cannot be made again.`,
    why: "Another terminal has this number now.",
    remedy: `Close the terminal that shows /dev/pts/${index} (tty tells), then thaw again.`,
    facts: { path: `/dev/pts/${index}` },
  })),
  TERMINAL_GONE: {
    open: refused(({ file }: { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) uses a terminal that is gone.`,
      why: `Descriptor ${file.fd} leads to ${file.link}.`,
      remedy: "Let the program close it, or end it: nothing can be read from it any more.",
      facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "terminal" },
    })),
    outside: refused(({ path, isTaken }: Texts<"path"> & { readonly isTaken: boolean }) => ({
      what: `The processes used the terminal ${path}, which is gone.`,
      why: isTaken ? "Another terminal has this name now." : "It was closed after the freeze.",
      remedy: "Next time run the program inside tmux or script and freeze that, or with its input and output in files.",
      facts: { path },
    })),
  },
};
