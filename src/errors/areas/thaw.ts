/** Thawing: what the image or the machine lacks. */
import {
  refusedTogether,
  failed,
  refused,
  type NamedProcess,
  type Numbers,
  type Texts,
  type Together,
} from "../entry.ts";

export const thaw = {
  IMAGE_SHORT: failed(({ process }: { readonly process: NamedProcess }) => ({
    what: `The image ends before the memory of process ${process.pid} does.`,
  })),
  SHELL_TERMINAL: refused(() => ({
    what: "There is no terminal for the program to go on in.",
    why: "Standard input is not the controlling terminal of kmonte.",
    remedy: "Run kmonte thaw --shell from a shell in a terminal, in the foreground.",
  })),
  PID_LOST: failed(
    ({ about, id, holder }: Texts<"about"> & Numbers<"id"> & { readonly holder?: string | undefined }) => ({
      what: `${about} did not work: others were quicker to take the id ${id}.`,
      ...(holder !== undefined && { why: `The id is in use by ${holder}.` }),
      remedy: "Thaw again when fewer processes are being started on the machine.",
    }),
  ),
  PID_INSIDE: failed(({ about, got, wanted }: Texts<"about" | "got" | "wanted">) => ({
    what: `${about} did not work: it got other ids in the pid namespaces between.`,
    why: `They are ${got} and were ${wanted}.`,
  })),
  PID_NAMESPACE_OWNER: failed(({ user }: { readonly user?: string | undefined }) => ({
    what: "A pid namespace cannot be made again as it was.",
    why: `It belongs to ${user ?? "the user namespace above"}, which its makers were in before it.`,
  })),
  PID_TAKEN: refused(({ pid, command, id, user }: NamedProcess & Texts<"user"> & Numbers<"id">) => ({
    what: `Process ${pid} (${command}) cannot get its id back.`,
    why: `The id ${id} is in use by ${user}.`,
    remedy: "End that process, or thaw after a reboot.",
    facts: { pid: id, command },
  })),
  KERNEL_FEATURE: refused(({ what, path }: Texts<"what" | "path">) => ({
    what: "This kernel cannot take the processes.",
    why: `It has no ${what}: ${path} is missing.`,
    remedy: "Boot a kernel of Debian, 5.10 or newer, or build it in.",
  })),

  CANNOT_THAW: {
    foreign: refusedTogether(({ directory }: Texts<"directory">) => ({
      what: `${directory} is not yours to thaw; nothing was made.`,
    })),
    here: refusedTogether(({ directory, refusals }: Texts<"directory"> & Together) => ({
      what: `${refusals.length} things stand in the way of thawing ${directory}; nothing was made.`,
    })),
  },
  IMAGE_INCONSISTENT: failed(({ directory, why }: Texts<"directory" | "why">) => ({
    what: `The image in ${directory} does not fit together; nothing was left running.`,
    why: `${why}.`,
    remedy: "Take the image from a copy, or report it together with the kmonte that wrote it.",
    facts: { path: directory },
  })),
};
