/** What is looked at before a change of kernel, and told or refused. */
import { advice, refused, refusedTogether, warning, type NamedProcess, type Numbers, type Texts } from "../entry.ts";

export const doctor = {
  NEWEST_KERNEL_RUNS: advice(({ release }: Texts<"release">) => ({
    what: `The newest kernel that is installed runs already: ${release}.`,
    why: "Nothing in /boot is newer, and its file there is the one that was started.",
    remedy: `There is no need for a swap; --to ${release} starts the same anew.`,
  })),
  MODULE_CAN_BE_RELOADED: advice(({ name, drives }: Texts<"name"> & { readonly drives: boolean }) => ({
    what: `The module ${name} has another file since the boot, and nothing holds it.`,
    why: "Its build id is not that of the file in /lib/modules, and its use count is 0.",
    remedy: `modprobe -r ${name} && modprobe ${name} has the new one${drives ? "; what it drives is away for that moment" : ""}.`,
  })),
  MODULE_IS_HELD: advice(({ name, users, by }: Texts<"name" | "by"> & Numbers<"users">) => ({
    what: `The module ${name} has another file since the boot, and is in use.`,
    why: `Its build id is not that of the file in /lib/modules; it is used ${users} times${by}.`,
    remedy: `Stop what uses it and load it anew (modprobe -r ${name}); else a swap to the same kernel does.`,
  })),
  LIVE_PATCH_LOADED: advice(({ names }: Texts<"names">) => ({
    what: `The running kernel has a live patch: ${names}.`,
    why: "It ends with this kernel. What it mends may be all that a swap is wanted for.",
    remedy: "See what it mends; see, too, that the new kernel has that mended, or a live patch of its own.",
  })),
  LIBRARIES_REPLACED: advice(
    ({ units, files, more, unitArguments }: Texts<"units" | "files" | "more" | "unitArguments">) => ({
      what: `Protected units run with libraries that have been replaced since: ${units}.`,
      why: `They have ${files}${more} as it was before. A swap takes that along as it is: the new files are used by what is started anew.`,
      remedy: `For the libraries' sake restart the units, which needs no other kernel: systemctl restart ${unitArguments}.`,
    }),
  ),
  DISK_ASKS_FOR_PASSPHRASE: warning(
    ({
      name,
      mountPoint,
      isUnlisted,
      restarts,
      overSsh,
      ways,
    }: Texts<"name" | "mountPoint" | "restarts" | "overSsh" | "ways"> & { readonly isUnlisted: boolean }) => ({
      what: `The boot of the new kernel waits for the passphrase of ${name}, which ${mountPoint} lies on.`,
      why: `${isUnlisted ? "/etc/crypttab has no line for it" : "Its line of /etc/crypttab names no key, nor what finds one by itself"}. ${restarts}.`,
      remedy: `Be there to type it${overSsh}; or have it unlocked by a key: ${ways}.`,
    }),
  ),
  RAID_DEGRADED: warning(
    ({ name, mountPoint, missing, level }: Texts<"name" | "mountPoint" | "level"> & Numbers<"missing">) => ({
      what: `${name}, which ${mountPoint} lies on, is degraded.`,
      why: `${missing === 1 ? "One of its devices is" : `${missing} of its devices are`} missing (${level}); a boot may wait for them before it starts the array without.`,
      remedy: "Replace them first: mdadm --detail says which, mdadm --manage adds others.",
    }),
  ),
  ROOT_ON_NETWORK: warning(({ point, name, protocol }: Texts<"point" | "name" | "protocol">) => ({
    what: `${point} is on the network, and the new kernel's initramfs must bring that up.`,
    why: `It is ${name}, by ${protocol}; kmonte was not tried with that.`,
    remedy: "Try a plain kexec first (systemctl kexec), and a rehearsal: kmonte rehearse.",
  })),
  STATE_ON_NETWORK: refused(({ point, name, protocol }: Texts<"point" | "name" | "protocol">) => ({
    what: `${point} cannot be there when the processes are to come back.`,
    why: `It is ${name}, by ${protocol}; the thaw comes before the network is up.`,
    remedy: "Have /var/lib/kmonte, /var and the programs on a disk of this machine (KMONTE_STATE names another place).",
    facts: { path: point },
  })),
  DISK_NOT_MOUNTED_AT_BOOT: refused(({ point, why }: Texts<"point" | "why">) => ({
    what: `${point} is not mounted when the processes are to come back.`,
    why,
    remedy: `Have /etc/fstab mount it at boot, without noauto and x-systemd.automount.`,
    facts: { path: point },
  })),
  THAW_WAITS_FOR_DISKS: warning(({ names }: Texts<"names">) => ({
    what: `The processes come back only when ${names} is mounted.`,
    why: "What the thaw needs lies on other file systems than / and /usr, which the initramfs mounts.",
    remedy: "Nothing is to be done; the pause is longer by what the check and the mount of them take.",
  })),
  NOT_LOOKED_AT: warning(({ about, why }: Texts<"about" | "why">) => ({
    what: `${about} could not be looked at.`,
    why,
    remedy: "See to it that it can be, and look again: kmonte doctor.",
  })),
  FIRMWARE_MISSING: warning(({ release, module, files, more }: Texts<"release" | "module" | "files" | "more">) => ({
    what: `Linux ${release} may not find the firmware for ${module}.`,
    why: `Its driver asks for ${files}${more}, which the running kernel's does not, and /lib/firmware has none.`,
    remedy:
      "Upgrade the package with the firmware (apt-file search FILE; firmware-linux and others of non-free-firmware).",
  })),
  WATCHDOG_TOO_SHORT: warning(
    ({
      name,
      identity,
      feeder,
      seconds,
      forGood,
      needed,
    }: Texts<"name" | "identity" | "feeder" | "forGood"> & Numbers<"seconds" | "needed">) => ({
      what: `A watchdog may restart the machine in the midst of the change of kernel.`,
      why: `${name} (${identity}) is fed${feeder}, restarts the machine after ${seconds} s without that${forGood}, and nobody feeds it between two kernels.`,
      remedy: `Give it ${needed} s or more: RuntimeWatchdogSec= in /etc/systemd/system.conf and systemctl daemon-reexec, or the setting of the daemon that feeds it.`,
    }),
  ),
  SWAP_PENDING: warning(({ id, state }: Texts<"id" | "state">) => ({
    what: `What ${id} froze ${state === "trial" ? "is still on trial here" : "has not been thawed"}.`,
    why: "Its record is marked for the next boot, which would look at it again.",
    remedy: "kmonte report says what became of it.",
  })),
  KERNEL_BROKEN: refused(({ release, why, image }: Texts<"release" | "why" | "image">) => ({
    what: `Linux ${release} cannot be started.`,
    why,
    remedy: `See that /boot is not full, and install it again: apt-get install --reinstall linux-image-${release}.`,
    facts: { path: image },
  })),
  NO_INITRAMFS: refused(({ release, image, make }: Texts<"release" | "image" | "make">) => ({
    what: `Linux ${release} would not find its disks.`,
    why: `There is no initramfs beside ${image}, and the kernels here are started with one.`,
    remedy: `Make it: ${make} (see that /boot is not full).`,
    facts: { path: image },
  })),
  INITRAMFS_BROKEN: refused(({ release, path, why, make }: Texts<"release" | "path" | "why" | "make">) => ({
    what: `The initramfs of Linux ${release} is not whole.`,
    why: `${path} cannot be unpacked: ${why}`,
    remedy: `Make it again: ${make} (see that /boot is not full).`,
    facts: { path },
  })),
  INITRAMFS_LACKS: refused(
    ({
      release,
      kind,
      initrd,
      packageName,
      make,
    }: Texts<"release" | "kind" | "packageName" | "make"> & { readonly initrd?: string | undefined }) => ({
      what: `Linux ${release} would not find its root file system.`,
      why: `That lies on ${kind}, and ${initrd} has no program for it.`,
      remedy: `Install ${packageName}, and make the initramfs again: ${make}.`,
      facts: { path: initrd ?? "" },
    }),
  ),
  KEXEC_NOT_BUILT: refused(({ running }: Texts<"running">) => ({
    what: `Linux ${running} cannot load another kernel.`,
    why: "It was built without CONFIG_KEXEC_FILE.",
    remedy: "Reboot once into a kernel that has it, such as any of Debian's.",
  })),
  KEXEC_DISABLED: refused(({ setBy }: Texts<"setBy">) => ({
    what: "The running kernel lets nobody load another one.",
    why: `kernel.kexec_load_disabled is 1${setBy}.`,
    remedy: "It stays so until a reboot: take the setting away, and reboot once.",
  })),
  KEXEC_LIMIT: refused(({ limit, setBy, calls }: Texts<"setBy"> & Numbers<"limit" | "calls">) => ({
    what: "The running kernel does not let another one be loaded often enough.",
    why: `kernel.kexec_load_limit_reboot is ${limit}${setBy}; a swap needs ${calls} calls.`,
    remedy: "It cannot be raised until a reboot: take the setting away, or set it higher, and reboot once.",
  })),
  KERNEL_LOADED: warning(() => ({
    what: "Somebody has loaded a kernel for kexec already.",
    why: "/sys/kernel/kexec_loaded is 1: kexec-tools, or systemctl kexec, is about to use it.",
    remedy: "A swap puts its own in the place of it. kexec --unload lets go of it.",
  })),
  NO_MODULES: refused(({ release, modules }: Texts<"release"> & { readonly modules?: string | undefined }) => ({
    what: `Linux ${release} would not find its devices.`,
    why: modules
      ? `${modules} has no modules.dep, by which modprobe(8) finds its modules.`
      : `It was built with modules, and there is no /lib/modules/${release}.`,
    remedy: modules ? `Make it: depmod ${release}.` : "Install the package that they are in.",
    facts: { path: modules ?? `/lib/modules/${release}` },
  })),
  FILE_SYSTEM_MISSING: refused(({ release, point, type }: Texts<"release" | "point" | "type">) => ({
    what: `Linux ${release} cannot mount ${point}.`,
    why: `It is of ${type}, which is a module here, and that kernel has no such module.`,
    remedy: "Install or build the module for that kernel (dkms autoinstall -k), or choose another kernel.",
    facts: { path: point },
  })),
  MODULES_MISSING: warning(({ release, names }: Texts<"release" | "names">) => ({
    what: `Linux ${release} does not have modules that are at work now: ${names}.`,
    why: `Neither modules.dep nor modules.builtin of /lib/modules/${release} name them.`,
    remedy: "A newer kernel may have the same under another name; else install the package or build the module for it.",
  })),
  DKMS_NOT_BUILT: warning(({ name, release, running }: Texts<"name" | "release" | "running">) => ({
    what: `The module ${name} of DKMS was not built for Linux ${release}.`,
    why: `/var/lib/dkms/${name} has it for ${running}, which runs, and not for that one.`,
    remedy: `Install linux-headers-${release}, and dkms autoinstall -k ${release}; make.log beside it says what fails.`,
  })),
  PACKAGES_BUSY: refused(({ command, pid, path }: NamedProcess & Texts<"path">) => ({
    what: "Packages are being installed or removed just now.",
    why: `${command} (process ${pid}) holds the lock ${path}.`,
    remedy: "Wait until it has ended, and try again.",
    facts: { path, pid, command },
  })),
  PACKAGES_UNFINISHED: refused(({ names, more }: Texts<"names" | "more">) => ({
    what: "Not all packages are installed to their end.",
    why: `dpkg has ${names}${more}; the kernel, its initramfs or what starts at boot may be of that.`,
    remedy: "dpkg --configure -a, or apt-get install -f, ends it; dpkg --audit shows what is left.",
  })),
  IN_CONTAINER: refused(() => ({
    what: "The kernel cannot be changed from here.",
    why: "This is a container: its kernel is the host's.",
    remedy: "Run it on the host; kmonte suspend --restart restarts the container alone.",
  })),
  NO_CAP_SYS_BOOT: refused(() => ({
    what: "kmonte may not start another kernel.",
    why: "It runs as root without CAP_SYS_BOOT (capabilities(7)): a unit, a container or a sandbox has taken it away.",
    remedy: "Run it from a login of root's, or give the unit CapabilityBoundingSet= with CAP_SYS_BOOT.",
  })),
  NO_ROOM_IN_RUN: refused(({ release, needed, free }: Texts<"release"> & Numbers<"needed" | "free">) => ({
    what: `Linux ${release} cannot be loaded: there is no room in /run.`,
    why: `A copy of its initramfs takes ${needed} MiB, and /run has ${free} MiB left.`,
    remedy: "Remove what fills it, or make it larger: mount -o remount,size=SIZE /run.",
    facts: { path: "/run" },
  })),
  NO_ROOM_IN_BOOT: warning(({ free, image, next }: Texts<"image"> & Numbers<"free" | "next">) => ({
    what: "/boot has no room for another kernel.",
    why: `It has ${free} MiB left, and one like ${image} takes ${next} MiB with its initramfs.`,
    remedy: "apt-get autoremove --purge takes kernels away that are not needed any more.",
  })),
  KERNEL_UNSIGNED: refused(({ release, why, image }: Texts<"release" | "why" | "image">) => ({
    what: `Linux ${release} cannot be loaded: it is not signed.`,
    why: `${why}, and ${image} carries no signature.`,
    remedy: "Install a signed one (Debian's linux-image packages without -unsigned), or sign it (sbsign(1)).",
    facts: { path: image },
  })),
  SIGNATURE_UNPROVEN: warning(({ release, why }: Texts<"release" | "why">) => ({
    what: `Whether Linux ${release} can be loaded is known only when it is tried.`,
    why: `${why}, but Secure Boot is off: the keys that its signature is checked with may not be there.`,
    remedy: "kmonte swap tries it before it stops anything. Without lockdown= on the command line it is not asked for.",
  })),
  SYSTEMD_TOO_OLD: refused(({ version, oldest }: Numbers<"version" | "oldest">) => ({
    what: "systemd cannot be asked for all that a swap needs.",
    why: `This is systemd ${version}; kmonte needs ${oldest} or newer.`,
    remedy: "Upgrade the distribution first: Debian 11 and later have it.",
  })),

  CANNOT_SWAP: refusedTogether(({ refusals }) => ({
    what: `${refusals.length} things stand in the way of a change of kernel; nothing was stopped.`,
    remedy: "Do what is said of each, and look again: kmonte doctor.",
  })),
};
