/** Freezing: processes that cannot be stopped, or not be frozen as a set. */
import {
  type Entry,
  refusedTogether,
  failed,
  refused,
  refusedForNow,
  type NamedFile,
  type NamedProcess,
  type Numbers,
  type Texts,
} from "../entry.ts";
import type { Refusal } from "../failure.ts";
import { failedCall } from "./system.ts";
import { ofSocket } from "./resources/phrases.ts";

const RAISE_OPEN_FILES =
  "Raise the limit of open files that kmonte is started with (ulimit -Hn, LimitNOFILE=) and try again.";

/** A file of the set's that a process outside has open too. */
export interface SharedOutside {
  readonly file: NamedFile;
  readonly otherPid: number;
  readonly otherCommand: string;
  readonly otherFd: number;
}

function sharedOutside(what: "socket" | "file"): Entry<SharedOutside, Refusal> {
  return refused(({ file, otherPid, otherCommand, otherFd }) => ({
    what: `Process ${file.pid} (${file.command}) shares an open ${what} with a process that is not frozen with it.`,
    why: `Descriptor ${file.fd} leads to ${file.link}, and process ${otherPid} (${otherCommand}) has the same as descriptor ${otherFd} (fork(2), unix(7)).`,
    remedy: `Freeze ${otherPid} together with ${file.pid}, or let one of them close it.`,
    facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
  }));
}

export const freeze = {
  NOT_A_KEY: {
    recipient: refused(({ text }: Texts<"text">) => ({
      what: `${text} is nobody to encrypt to.`,
      why: "A recipient of age begins with age1, and its last characters check the others.",
      remedy: "Make a key with kmonte key new --encryption or age-keygen, and name its public half.",
    })),
    publicKey: refused(() => ({
      what: "That is no public key.",
      why: "A public key is the second line of a minisign .pub file.",
      remedy: "Name the other machine’s /etc/kmonte/machine.pub.",
    })),
    file: refused(({ path, errno }: Texts<"path"> & { readonly errno?: string | undefined }) => ({
      what: `${path} cannot be read.`,
      why: `Opening it failed with ${errno}.`,
      remedy: "Name a file with a public key.",
      facts: { path },
    })),
  },
  TIME_NAMESPACE: refused(({ pid, command, why }: NamedProcess & Texts<"why">) => ({
    what: `Process ${pid} (${command}) has clocks that it cannot be given again.`,
    why: `${why} (time_namespaces(7)).`,
    remedy: "Leave it out, or freeze what it has started alone.",
    facts: { pid, command, resource: "namespace" },
  })),
  OPEN_FILES_LIMIT: {
    look: refused(({ pid, command }: NamedProcess) => ({
      what: "The processes have more files open together than kmonte may have.",
      why: `kmonte has each of them open too while it looks, and reached its own limit at process ${pid} (${command}).`,
      remedy: RAISE_OPEN_FILES,
      facts: { pid, command, resource: "file" },
    })),
    call: failedCall(RAISE_OPEN_FILES),
  },
  FILE_KIND: refused(({ file }: { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) has something open that cannot be frozen.`,
    why: `Descriptor ${file.fd} leads to ${file.link}.`,
    remedy: "Let the program close it, or leave this process out.",
    facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
  })),
  PID_NAMESPACE_INIT: refused(({ pid, command, missing }: NamedProcess & Texts<"missing">) => ({
    what: `Process ${pid} (${command}) lives in a pid namespace whose init process is not frozen with it.`,
    why: `It belongs to ${missing}.`,
    remedy: "Freeze the process that is 1 inside, with all that belongs to it, or run kmonte inside (nsenter(1)).",
    facts: { pid, command, resource: "pid-namespace" },
  })),
  MAPPING_WITHOUT_DESCRIPTOR: refused(
    ({ process, start, object }: Texts<"start" | "object"> & { readonly process: NamedProcess }) => ({
      what: `Process ${process.pid} (${process.command}) has memory that cannot be frozen.`,
      why: `The mapping at ${start} shows ${object}, which no descriptor of the set leads to or which is refused.`,
      remedy: "Let the program unmap it first.",
      facts: { pid: process.pid, command: process.command, address: start, resource: "mapping" },
    }),
  ),
  COMPAT_32BIT: refused(({ pid, command, tid, segment }: NamedProcess & Texts<"segment"> & Numbers<"tid">) => ({
    what: `Process ${pid} (${command}) runs 32-bit code.`,
    why: `Thread ${tid} has the code segment 0x${segment}.`,
    remedy: "Use the 64-bit build of the program.",
    facts: { pid, tid, command },
  })),
  SYSCALL_USER_DISPATCH: refused(({ pid, command, tid }: NamedProcess & Numbers<"tid">) => ({
    what: `Process ${pid} (${command}) handles system calls itself.`,
    why: `Thread ${tid} has switched syscall user dispatch on (PR_SET_SYSCALL_USER_DISPATCH of prctl(2)), as emulators do.`,
    remedy: "Leave this process out.",
    facts: { pid, tid, command, resource: "syscall-user-dispatch" },
  })),
  PARENT_THREAD: refused(({ pid, command, maker, ppid }: NamedProcess & Numbers<"maker" | "ppid">) => ({
    what: `Process ${pid} (${command}) is to hear of the end of one thread of its parent.`,
    why: `Thread ${maker} of process ${ppid} made it, and it has a death signal (PR_SET_PDEATHSIG of prctl(2)).`,
    remedy: "Let the first thread of the parent start it, or let it do without that signal.",
    facts: { pid, command, resource: "process" },
  })),
  SHARED_MEMORY: refused(
    ({
      pid,
      command,
      start,
      path,
      other,
      otherCommand,
    }: NamedProcess & Texts<"start" | "path" | "otherCommand"> & Numbers<"other">) => ({
      what: `Process ${pid} (${command}) shares memory with a process that is not frozen with it.`,
      why: `The mapping at ${start} (${path}) is memory that process ${other} (${otherCommand}) has too (mmap(2), MAP_SHARED).`,
      remedy: `Freeze ${other} together with ${pid}, or let one of them unmap it.`,
      facts: { pid, command, address: start, path, resource: "mapping" },
    }),
  ),
  SHARED_TANGLED: refused(
    ({ pid, command, shared, other }: NamedProcess & Texts<"shared"> & { readonly other?: number | undefined }) => ({
      what: `Process ${pid} (${command}) shares things with other processes in a way that cannot be made again.`,
      why: `It has its ${shared} in common with process ${other}, and something else with others (clone(2), unshare(2)).`,
      remedy: "Wait until one of them has started another program or ended.",
      facts: { pid, command, resource: "process" },
    }),
  ),
  RESTLESS: refusedForNow(() => ({
    what: "Something is going on that will have passed in a moment.",
    why: "A connection is being made that one side believes in already, or a program is about to read what it was told.",
    remedy: "Try again in a moment.",
  })),
  NOT_YOURS: {
    process: refused(({ pid, command, why }: NamedProcess & Texts<"why">) => ({
      what: `Process ${pid} (${command}) is not yours to freeze or thaw.`,
      why,
      remedy: "Ask root to do it.",
      facts: { pid, command },
    })),
    file: refused(({ why, path }: Texts<"why" | "path">) => ({
      what: "The processes use a file that their user cannot open.",
      why,
      remedy: "Ask root to do it.",
      facts: { path },
    })),
    set: refused(({ why }: Texts<"why">) => ({
      what: "The set of processes is not yours to freeze or thaw.",
      why,
      remedy: "Ask root to do it.",
    })),
  },
  DOES_NOT_STOP: failed(
    ({ pid, command, tid, state, seconds }: NamedProcess & Texts<"state"> & Numbers<"tid" | "seconds">) => ({
      what: `Process ${pid} (${command}) does not stop.`,
      why: `Thread ${tid} has been in state ${state} for ${seconds} seconds${state === "D" ? ", waiting for a device" : ""}.`,
      remedy: "Try again when the device answers; nothing was changed.",
      facts: { pid, tid, command },
    }),
  ),
  THREADS_CHANGE: refused(({ pid, command, seconds }: NamedProcess & Numbers<"seconds">) => ({
    what: `Process ${pid} (${command}) cannot be stopped as a whole.`,
    why: `For ${seconds} seconds it has made threads that ended before they could be stopped.`,
    remedy: "Try again when it does less; nothing was changed.",
    facts: { pid, command },
  })),
  VFORK_IN_PROGRESS: refused(({ pid, command, tid }: NamedProcess & Numbers<"tid">) => ({
    what: `Process ${pid} (${command}) cannot be stopped now.`,
    // Neither ptrace(2) nor a freezer stops such a wait, /proc/PID/syscall has only some of its registers, and the child
    // has written over its copy of the others.
    why: `Thread ${tid} waits for a child of vfork(2) that has not started another program yet, and meanwhile the kernel shows nobody its registers.`,
    remedy: "Try again when it has.",
    facts: { pid, tid, command },
  })),
  IN_VDSO: refused(({ pid, command, tid, tries }: NamedProcess & Numbers<"tid" | "tries">) => ({
    what: `Process ${pid} (${command}) could not be stopped in a good moment.`,
    why: `Thread ${tid} was in the kernel's own code (the vDSO) ${tries} times in a row.`,
    remedy: "Try again.",
    facts: { pid, tid, command },
  })),
  LEADER_ENDED: {
    ended: refused(({ pid, command, why }: NamedProcess & Texts<"why">) => ({
      what: `Process ${pid} (${command}) goes on without its first thread.`,
      why: `Thread ${pid} has ended and waits for the others (pthread_exit(3) in main), and ${why}.`,
      remedy: "Leave this process out.",
      facts: { pid, command },
    })),
    killed: refused(({ pid, command }: NamedProcess) => ({
      what: `Process ${pid} (${command}) goes on without its first thread.`,
      why: `Thread ${pid} was killed by itself (SECCOMP_RET_KILL_THREAD of seccomp(2)).`,
      remedy: "Leave this process out.",
      facts: { pid, command },
    })),
  },
  CGROUP_FROZEN: refused(({ pid, command, folder, setting }: NamedProcess & Texts<"folder" | "setting">) => ({
    what: `Process ${pid} (${command}) cannot be frozen: its control group is.`,
    why: `${folder} has been frozen with ${setting}, and nothing runs in it.`,
    remedy: "Let the group go on, freeze the programs, and freeze the group again after the thaw.",
    facts: { pid, command, path: folder, resource: "cgroups" },
  })),
  NO_PROCESS: refused(() => ({ what: "No process was named.", remedy: "Name at least one process id." })),

  SOCKET_ACTIVATED: {
    kept: refused(
      ({ file, otherPid, otherCommand, otherFd, why, remedy }: SharedOutside & Texts<"why" | "remedy">) => ({
        what: `Process ${file.pid} (${file.command}) has a socket that its service manager keeps as well.`,
        why: `Descriptor ${file.fd} leads to ${file.link}, which process ${otherPid} (${otherCommand}) has as descriptor ${otherFd} (systemd.socket(5)): ${why}.`,
        remedy,
        facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
      }),
    ),
    abstract: refused(({ file, name }: { readonly file: NamedFile } & Texts<"name">) =>
      ofSocket(
        file,
        "a connection to a process of the set, through a socket that systemd keeps",
        `it was accepted at ${name}, an abstract name, which cannot be used a second time to connect them again.`,
        "Let the program close it, or leave one of them out.",
      ),
    ),
  },
  SHARED_SOCKET: sharedOutside("socket"),
  SHARED_FILE: sharedOutside("file"),

  TRACED: refused(
    ({
      pid,
      command,
      tid,
      errno,
      tracer,
      tracerCommand,
    }: NamedProcess & Numbers<"tid" | "tracer"> & Texts<"errno" | "tracerCommand">) => ({
      what: `Process ${pid} (${command}) cannot be stopped.`,
      why: `Process ${tracer} (${tracerCommand}) traces it already.`,
      remedy: "Detach the debugger first.",
      facts: { pid, tid, command, syscall: "ptrace", errno },
    }),
  ),
  NOT_PERMITTED: {
    seize: refused(({ pid, command, tid, errno }: NamedProcess & Numbers<"tid"> & Texts<"errno">) => ({
      what: `Process ${pid} (${command}) cannot be stopped.`,
      why: `ptrace(PTRACE_SEIZE) on task ${tid} failed with ${errno}.`,
      remedy: "Run kmonte as root, or as the owner of the process.",
      facts: { pid, tid, command, syscall: "ptrace", errno },
    })),
    otherUser: refused(({ pid, command }: NamedProcess) => ({
      what: `Process ${pid} (${command}) belongs to another user.`,
      why: `Reading /proc/${pid}/exe failed with EACCES.`,
      remedy: "Run kmonte as root.",
      facts: { pid, command },
    })),
  },
  NO_SUCH_PROCESS: refused(({ pid }: Numbers<"pid">) => ({
    what: `There is no process ${pid}.`,
    why: `/proc/${pid} does not exist.`,
    remedy: "Look for the right one with pgrep or ps.",
    facts: { pid },
  })),
  KERNEL_THREAD: refused(({ pid, command }: NamedProcess) => ({
    what: `Process ${pid} (${command}) cannot be frozen.`,
    why: "It is a thread of the kernel.",
    remedy: "Every kernel brings its own; leave it out.",
    facts: { pid, command },
  })),
  INIT: refused(({ pid, command }: NamedProcess) => ({
    what: `Process ${pid} (${command}) cannot be frozen.`,
    why: "It is the init process of the system.",
    remedy: "Name the programs themselves.",
    facts: { pid, command },
  })),
  OWN_ANCESTOR: refused(({ pid, command, isItself }: NamedProcess & { readonly isItself: boolean }) => ({
    what: `Process ${pid} (${command}) cannot be frozen from here.`,
    why: isItself ? "It is kmonte itself." : "kmonte was started by it and would stop with it.",
    remedy: "Start kmonte from outside, for example with systemd-run or from another session.",
    facts: { pid, command },
  })),
  ZOMBIE: refused(({ pid, command }: NamedProcess) => ({
    what: `Process ${pid} (${command}) cannot be frozen by itself.`,
    why: "It has ended and waits for its parent.",
    remedy: "Freeze its parent.",
    facts: { pid, command },
  })),
  STATE_INVALID: refused(({ wrong }: Texts<"wrong">) => ({
    what: "What was found in the processes does not fit the format of images, so that no thaw would take it.",
    why: `${wrong}.`,
    remedy: "This is a defect of kmonte: please report it, with the program that it was found in.",
  })),
  CANNOT_FREEZE: refusedTogether(({ refusals }) => ({
    what: `${refusals.length} things stand in the way of freezing; the processes go on as they were.`,
  })),
};
