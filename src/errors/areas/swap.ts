/** The change of kernel: choosing and loading it, leaving, coming back. */
import {
  type NamedProcess,
  refusedTogether,
  failed,
  refused,
  type Numbers,
  type Texts,
  type Together,
} from "../entry.ts";

const OTHER_KERNEL = "Choose another kernel (kmonte kernels lists them), or install what is missing.";
const MAIL_AGENT =
  "Install a mail transport agent (such as msmtp-mta or postfix), or take Mail= out of /etc/kmonte/swap.conf.";

/** Why the load failed, for the errors that have one well-known reason. */
const LOAD_FAILURES: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  EPERM: [
    "The running kernel does not let anyone load another (kexec_load_disabled, or lockdown without a signature).",
    "See: sysctl kernel.kexec_load_disabled; cat /sys/kernel/security/lockdown",
  ],
  EBUSY: ["Somebody else is loading a kernel just now.", "Try again."],
  ENOEXEC: ["The running kernel does not know this file as a kernel.", "Give the path of a vmlinuz."],
  ENOSYS: ["The running kernel was built without CONFIG_KEXEC_FILE.", "Reboot once into a kernel that has it."],
  ENOMEM: ["There is not enough memory for it.", "Free some memory and try again."],
  EADDRNOTAVAIL: ["There is no room for it in memory.", "Free some memory and try again."],
  EKEYREJECTED: ["Its signature is not one that this machine trusts.", "Choose a kernel that is signed for it."],
  ENODATA: ["It has no signature, and this machine asks for one.", "Choose a kernel that is signed for it."],
};

export const swap = {
  SWAP_NOT_OPENABLE: {
    noKey: refused(({ directory }: Texts<"directory">) => ({
      what: "The processes would not come back: nobody could open their images at boot.",
      why: `This machine has no key for encryption of its own in ${directory}.`,
      remedy: "Make one with kmonte key new --encryption, and name it with --encrypt-to.",
    })),
    othersAlone: refused(({ recipient }: Texts<"recipient">) => ({
      what: "The processes would not come back: nobody could open their images at boot.",
      why: "They would be encrypted to others alone, whose keys are not on this machine.",
      remedy: `Let this machine open them too: --encrypt-to ${recipient}`,
    })),
  },
  KERNEL_CONFIG_UNKNOWN: refused(({ release, image, folder }: Texts<"release" | "image" | "folder">) => ({
    what: `Whether Linux ${release} can take the processes is not known.`,
    why: `There is no configuration file of it beside ${image}.`,
    remedy: `Put it at ${folder}config-${release}.`,
  })),
  NO_SUCH_KERNEL: {
    release: refused(({ spec, known, boot }: Texts<"spec" | "known" | "boot">) => ({
      what: `There is no kernel ${spec} here.`,
      why: known ? `${boot} holds ${known}.` : `${boot} holds no kernel.`,
      remedy: "Choose one of these (kmonte kernels lists them), install another, or give the path of its image.",
    })),
    path: refused(({ path }: Texts<"path">) => ({
      what: `There is no kernel ${path}.`,
      why: "No such file.",
      remedy: "See kmonte kernels for what is there.",
      facts: { path },
    })),
  },
  NOT_A_KERNEL: refused(({ image }: Texts<"image">) => ({
    what: `${image} is no kernel that can be started.`,
    why: "It has no header of an x86 kernel image (bzImage).",
    remedy: "Give the path of a vmlinuz, as in /boot.",
    facts: { path: image },
  })),
  KEXEC_LOAD_FAILED: refused(({ release, path, errno }: Texts<"release" | "path" | "errno">) => {
    const [why, remedy] = LOAD_FAILURES[errno] ?? ["", "The kernel’s log (dmesg) may say more."];
    return {
      what: `Linux ${release} could not be loaded.`,
      why: `${why} (kexec_file_load: ${errno}.)`.trim(),
      remedy,
      facts: { path, syscall: "kexec_file_load", errno },
    };
  }),
  KEXEC_NOT_LOADED: failed(() => ({
    what: "The new kernel is not started.",
    why: "It is no longer loaded: somebody else unloaded it.",
    remedy: "Run kmonte swap again when nothing else (kexec-tools, kdump) is loading kernels.",
  })),
  SWAP_IN_PROGRESS: refused(({ doing, root }: Texts<"doing" | "root">) => ({
    what: `Another kmonte is about to ${doing}.`,
    why: `It holds the lock of ${root}.`,
    remedy: "Wait for it, or end it: the processes that it holds then go on.",
    facts: { path: root },
  })),
  MAIL_NOT_SENT: {
    notStarted: failed(({ to, program, message }: Texts<"to" | "program" | "message">) => ({
      what: `The mail to ${to} could not be sent.`,
      why: `${program}: ${message}`,
      remedy: MAIL_AGENT,
    })),
    ended: failed(
      ({ to, program, status, said }: Texts<"to" | "program" | "said"> & { readonly status: number | null }) => ({
        what: `The mail to ${to} could not be sent.`,
        why: `${program} ended with ${status}: ${said}`,
        remedy: MAIL_AGENT,
      }),
    ),
  },
  NOT_ON_DISK: refused(({ path, purpose, type, point }: Texts<"path" | "purpose" | "type" | "point">) => ({
    what: `${path} is no place for ${purpose}.`,
    why: `It lies on ${type} (${point}), which is empty after a boot.`,
    remedy: "Use a directory on a disk.",
    facts: { path },
  })),
  REHEARSAL_TOOL_MISSING: {
    program: refused(({ name }: Texts<"name">) => ({
      what: "The rehearsal cannot be made ready.",
      why: `This machine has no ${name}.`,
      remedy: "Install the packages util-linux, coreutils and kmod.",
    })),
    virtiofsd: refused(() => ({
      what: "The rehearsal cannot be made ready.",
      why: "This machine has no virtiofsd.",
      remedy: "Install the package virtiofsd, or qemu-system-common where that has it.",
    })),
  },
  REHEARSAL_MODULE: failed(({ path }: Texts<"path">) => ({
    what: "A module of the target kernel could not be unpacked.",
    why: `Nothing here unpacks ${path}.`,
    remedy: "Install xz-utils.",
  })),
  REHEARSAL_VIEW: failed(({ why }: Texts<"why">) => ({
    what: "The host’s files could not be shown to the rehearsal’s machine.",
    why,
    remedy: "What virtiofsd says is above; it needs to be able to make mounts.",
  })),
  NO_SWAP_YET: refused(({ root }: Texts<"root">) => ({
    what: "There is nothing to report.",
    why: `No swap is on record in ${root}.`,
    remedy: "Make one: kmonte swap --to VERSION --pid PID",
  })),
  NO_ROOM_FOR_IMAGES: refused(({ root, needed, free }: Texts<"root"> & Numbers<"needed" | "free">) => ({
    what: `There is no room in ${root} for the memory of the processes; nothing was stopped.`,
    why: `It takes ${needed} MiB at least, and the file system has ${free} MiB left.`,
    remedy: "Free some space there (kmonte report names images that were kept), or take fewer units along.",
    facts: { path: root },
  })),
  NO_SCOPE: failed(({ why }: Texts<"why">) => ({ what: "systemd gave no scope for the processes.", why })),
  SWAP_SETTINGS: refused(({ file, line, why, keys }: Texts<"file" | "why" | "keys"> & Numbers<"line">) => ({
    what: `${file} cannot be read.`,
    why: `Line ${line}: ${why}`,
    remedy: `Mend the line, or put a # before it. There are ${keys}=; see kmonte-swap(1).`,
    facts: { path: file },
  })),
  SWAP_RECORD_BROKEN: failed(({ path, problem }: Texts<"path" | "problem">) => ({
    what: `The record of a swap cannot be read: ${path}.`,
    why: problem,
    remedy: "Thaw its directory by hand (kmonte thaw), then move the record out of the way.",
    facts: { path },
  })),
  NO_NEWER_KERNEL: refused(({ newest }: { readonly newest?: string | undefined }) => ({
    what: "There is no other kernel to change to.",
    why: newest ? `${newest}, the newest in /boot, is running.` : "/boot holds no kernel.",
    remedy: newest
      ? `Name another one (--to), or the same to start it anew: --to ${newest}.`
      : "Install one, or name its image (--to).",
  })),

  TARGET_KERNEL_LACKS: {
    process: refused(({ pid, command, release, why }: NamedProcess & Texts<"release" | "why">) => ({
      what: `Process ${pid} (${command}) cannot go on with Linux ${release}.`,
      why,
      remedy: OTHER_KERNEL,
      facts: { pid, command },
    })),
    set: refused(({ release, why }: Texts<"release" | "why">) => ({
      what: `The processes cannot go on with Linux ${release}.`,
      why,
      remedy: OTHER_KERNEL,
    })),
    several: refusedTogether(({ release, refusals }: Texts<"release"> & Together) => ({
      what: `Linux ${release} lacks ${refusals.length} things that the processes need.`,
    })),
  },
  HEALTH_FAILED: failed(({ command, why }: Texts<"command" | "why">) => ({
    what: `The health command says no: ${command}`,
    why,
  })),
  TRIAL_UNFINISHED: failed(() => ({
    what: "The unit that thaws, or the one that asks whether all is well, did not come to its end.",
  })),
  KERNEL_TRIED_BEFORE: failed(() => ({
    what: "The firmware started the kernel that had been tried and did not do.",
  })),
  KERNEL_NOT_ARRIVED: failed(() => ({
    what: "It did not come as far as thawing.",
    why: "It panicked, hung, or did not find its disks.",
  })),
  KERNEL_ENDED: failed(() => ({
    what: "It ended while it was thawing or being tried.",
    why: "It panicked or hung.",
  })),
};
