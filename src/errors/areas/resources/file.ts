/** Files and directories, and those that no boot leaves alone. */
import { refused, type NamedFile, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";

export const files = {
  HARD_LINK: refused(
    ({
      pid,
      command,
      link,
      links,
      folder,
      inode,
    }: NamedProcess & Texts<"link" | "folder"> & Numbers<"links"> & { readonly inode: bigint }) => ({
      what: `Process ${pid} (${command}) uses a file under a name that is gone.`,
      why: `${link} has ${links} other names (hard links), and none was found.`,
      remedy: `Link it back: find ${folder} -xdev -inum ${inode}, or let the program close it.`,
      facts: { pid, command, path: link },
    }),
  ),
  DEVICE_MISSING: refused(({ path, device }: Texts<"path" | "device">) => ({
    what: `The device ${path} is not there.`,
    why: `The processes had it open (character device ${device}).`,
    remedy: "Load its driver, or thaw on a machine that has it.",
    facts: { path },
  })),
  FILE_MISSING: {
    directory: refused(({ path }: Texts<"path">) => ({
      what: `${path} is not what the processes had open.`,
      why: "It cannot be found (ENOENT).",
      remedy: "Make it again.",
      facts: { path },
    })),
    namespace: refused(({ path }: Texts<"path">) => ({
      what: `${path} is not what the processes had open.`,
      why: "It was a namespace of the machine's, and cannot be found (ENOENT).",
      remedy: "Make it again, as ip netns add does.",
      facts: { path },
    })),
    folder: refused(({ below, path }: Texts<"below" | "path">) => ({
      what: `${below} cannot be made again.`,
      why: `The folder ${path} cannot be found (ENOENT).`,
      remedy: `Make it: mkdir -p ${path}.`,
      facts: { path },
    })),
    file: refused(({ path, errno }: Texts<"path"> & { readonly errno?: string | undefined }) => ({
      what: `${path} is not what the processes had open.`,
      why: `It cannot be found (${errno}).`,
      remedy: "Put the file back, from the package or the backup that it came from.",
      facts: { path },
    })),
  },
  DNOTIFY: refused(({ file }: { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) watches a directory with F_NOTIFY.`,
    why: `Descriptor ${file.fd} (${file.link}) has an owner for its signals, and what it is watched for cannot be asked.`,
    remedy: "Let the program close it, or have it watch with inotify(7).",
    facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "directory" },
  })),
  LOCK_KIND: refused(
    ({ file, type, state, access }: Texts<"type" | "state" | "access"> & { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) holds a lock that cannot be frozen.`,
      why: `Descriptor ${file.fd} (${file.link}) has a lock ${type} ${state} ${access}.`,
      remedy: type === "LEASE" ? "Try again when the lease has been given up." : "Let the program unlock it first.",
      facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "lock" },
    }),
  ),
  LOCK_TAKEN: refused(({ start, end }: Texts<"start"> & { readonly end?: string | undefined }) => ({
    what: "A lock that the processes held is taken.",
    why: `Another process has locked bytes ${start} to ${end ?? "the end"} of the file in the meantime.`,
    remedy: "End that process (lslocks shows it), then thaw again.",
  })),
  FILE_CHANGED: {
    whileThawed: refused(({ path }: Texts<"path">) => ({
      what: `${path} is not what the processes had open.`,
      why: "It was written to while the processes were thawed.",
      remedy: "Put the old version back for the thaw.",
      facts: { path },
    })),
    fifo: refused(({ path }: Texts<"path">) => ({
      what: `${path} is not what the processes had open.`,
      why: "It was a FIFO.",
      remedy: "Move it out of the way.",
      facts: { path },
    })),
    size: refused(({ path, size, was }: Texts<"path"> & Numbers<"size" | "was">) => ({
      what: `${path} is not what the processes had open.`,
      why: `It has ${size} bytes; it had ${was}.`,
      remedy: "Put the old version back for the thaw.",
      facts: { path },
    })),
    afterFreeze: refused(({ path }: Texts<"path">) => ({
      what: `${path} is not what the processes had open.`,
      why: "It was written to after the freeze.",
      remedy: "Put the old version back for the thaw.",
      facts: { path },
    })),
  },
  PROC_FILE: refused(({ file, pid }: Numbers<"pid"> & { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) has a file of /proc open that cannot be opened again.`,
    why: `Descriptor ${file.fd} leads to ${file.link}, which belongs to process ${pid}, which is not frozen with it.`,
    remedy: `Freeze ${pid} together with ${file.pid}.`,
    facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
  })),
  NOT_YOURS_TO_READ: {
    sharedMemory: refused(() => ({
      what: "The processes hold something that is not read for ordinary users.",
      why: "It is shared memory of System V, which others may have written to.",
      remedy: "Ask root to do it, or let the program give it up.",
    })),
    file: refused(({ pid, command, why, link }: NamedProcess & Texts<"why" | "link">) => ({
      what: `Process ${pid} (${command}) holds something that its user may not read.`,
      why,
      remedy: "Ask root to do it, or let the program close it.",
      facts: { pid, command, path: link },
    })),
  },
  FILE_FORBIDDEN: refused(
    ({
      pid,
      command,
      fd,
      link,
      immutable,
    }: NamedProcess & Texts<"link"> & Numbers<"fd"> & { readonly immutable: boolean }) => ({
      what: `Process ${pid} (${command}) writes to a file that nobody may open for that any more.`,
      why: `Descriptor ${fd} is ${link}, which was marked ${immutable ? "immutable" : "append-only"} after it had been opened.`,
      remedy: `Take the mark away: chattr -${immutable ? "i" : "a"} ${link}.`,
      facts: { pid, fd, command, path: link, resource: "file" },
    }),
  ),
  FILE_REPLACED: refused(({ path, why }: Texts<"path" | "why">) => ({
    what: `${path} is not the file that the processes had open.`,
    why,
    remedy: "Put the file back that was there, or give the processes' users access to the new one.",
    facts: { path },
  })),
  UNLINKED_SPECIAL: refused(({ file }: { readonly file: Omit<NamedFile, "fd"> }) => ({
    what: `Process ${file.pid} (${file.command}) uses something that cannot be found again.`,
    why: `${file.link} is not a regular file and its name is gone.`,
    remedy: "Let the program close it first.",
    facts: { pid: file.pid, command: file.command, path: file.link },
  })),
  PATH_NOT_TEXT: {
    socket: refused(({ text }: Texts<"text">) => ({
      what: `${text} cannot be written down.`,
      why: "The name of this socket is not valid UTF-8.",
      remedy: "Rename it.",
      facts: { path: text, resource: "mount-namespace" },
    })),
    file: refused(({ path }: Texts<"path">) => ({
      what: `${path} cannot be written down.`,
      why: "Its name, or that of a folder above it, is not valid UTF-8, which state.json is written in.",
      remedy: "Rename it.",
      facts: { path, resource: "file" },
    })),
  },
  CARRY_TOO_LARGE: refused(
    ({ path, about, entries, mebibytes }: Texts<"path" | "about"> & Numbers<"entries" | "mebibytes">) => ({
      what: `${path} holds more than is carried across a boot.`,
      why: `${about}: it lies where nothing outlives a boot, and holds more than ${entries} files or ${mebibytes} MiB.`,
      remedy: "Remove what is not needed in it, or keep it on a disk.",
      facts: { path, resource: "file" },
    }),
  ),
  CARRY_MISSING: refused(({ path, why }: Texts<"path" | "why">) => ({
    what: `${path} cannot be carried, as it was asked for.`,
    why: `There is no such file: ${why}.`,
    remedy: "Leave it out, or name the path that the unit has (systemctl show).",
    facts: { path },
  })),
  CARRIED_TAKEN: refused(({ path, what, why }: Texts<"path" | "what" | "why">) => ({
    what: `Something else stands at ${path}, where the processes had ${what}.`,
    why,
    remedy: `Stop what made it and move it away: mv ${path} ${path}.old.`,
    facts: { path },
  })),
};
