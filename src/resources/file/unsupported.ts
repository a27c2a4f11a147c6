/** Open files that no kernel lets anyone make again: each is refused by its own name, with a way out. */
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import { Refusal } from "../../lib/errors.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";

interface Refused {
  readonly code: string;
  /** Completes "Process … has …". */
  readonly what: string;
  readonly remedy: string;
}

/** What /proc shows behind `anon_inode:`, brackets left out. */
const ANONYMOUS: Readonly<Record<string, Refused>> = {
  perf_event: {
    code: "PERF_EVENT",
    what: "a performance counter",
    remedy: "End the profiling (perf, bpftrace) first.",
  },
  "bpf-prog": { code: "BPF", what: "a BPF program", remedy: "Let the program that loaded it unload it first." },
  "bpf-link": { code: "BPF", what: "a BPF link", remedy: "Let the program that loaded it unload it first." },
  bpf_link: { code: "BPF", what: "a BPF link", remedy: "Let the program that loaded it unload it first." },
  btf: { code: "BPF", what: "BPF type information", remedy: "Let the program that loaded it unload it first." },
  "bpf-token": { code: "BPF", what: "a BPF token", remedy: "Let the program that loaded it unload it first." },
  bpf_iter: { code: "BPF", what: "a BPF iterator", remedy: "Let the program close it first." },
  userfaultfd: {
    code: "USERFAULTFD",
    what: "a userfaultfd",
    remedy: "Let the program close it first (post-copy has ended).",
  },
  io_uring: { code: "IO_URING", what: "an io_uring", remedy: "Start the program without io_uring." },
  fscontext: {
    code: "MOUNT_IN_PROGRESS",
    what: "a file system that is being mounted (fsopen)",
    remedy: "Wait until it is mounted.",
  },
  "seccomp notify": {
    code: "SECCOMP_NOTIFY",
    what: "the listener of a seccomp filter",
    remedy: "Freeze the supervised program after its supervisor has let go.",
  },
  "landlock-ruleset": {
    code: "LANDLOCK",
    what: "a landlock ruleset",
    remedy: "Wait until the program has enforced it and closed it.",
  },
  "kvm-vm": {
    code: "KVM",
    what: "a virtual machine",
    remedy: "Save the guest with its own monitor (for example savevm) and leave this process out.",
  },
  "kvm-vcpu": {
    code: "KVM",
    what: "a processor of a virtual machine",
    remedy: "Save the guest with its own monitor and leave this process out.",
  },
  dmabuf: { code: "DMABUF", what: "a buffer of a device", remedy: "Close the window or stop the camera first." },
  sync_file: { code: "DMABUF", what: "a fence of a device", remedy: "Close the window first." },
};

/** Device nodes by major and minor number, or by major alone (Documentation/admin-guide/devices.txt). */
const DEVICES: Readonly<Record<string, Refused>> = {
  "10:229": {
    code: "DEVICE_FUSE",
    what: "a file system of its own (/dev/fuse)",
    remedy: "Unmount it, and mount it again after the thaw.",
  },
  "10:223": {
    code: "DEVICE_INPUT",
    what: "an input device of its own (/dev/uinput)",
    remedy: "Let the program close it first.",
  },
  "10:130": {
    code: "DEVICE_WATCHDOG",
    what: "the watchdog",
    remedy: "Stop the watchdog daemon: the machine would reset while it is frozen.",
  },
  "1:1": {
    code: "DEVICE_MEMORY",
    what: "the memory of the machine (/dev/mem)",
    remedy: "Let the program close it first.",
  },
  "1:2": {
    code: "DEVICE_MEMORY",
    what: "the memory of the kernel (/dev/kmem)",
    remedy: "Let the program close it first.",
  },
  "1:4": {
    code: "DEVICE_MEMORY",
    what: "the ports of the machine (/dev/port)",
    remedy: "Let the program close it first.",
  },
  "13": {
    code: "DEVICE_INPUT",
    what: "an input device",
    remedy: "Leave the display server out and freeze its clients from a session without it.",
  },
  "29": { code: "DEVICE_DISPLAY", what: "a frame buffer", remedy: "Leave the display server out." },
  "116": { code: "DEVICE_SOUND", what: "a sound device", remedy: "Stop playing first, or use a sound server." },
  "226": {
    code: "DEVICE_DISPLAY",
    what: "a graphics device",
    remedy: "Leave the display server out, or run the program without acceleration.",
  },
  "250": { code: "DEVICE_RTC", what: "the real-time clock", remedy: "Let the program close /dev/rtc first." },
};

/** By the kernel's own name of the device, where numbers are given out at boot. */
const NAMED: readonly (readonly [RegExp, Refused])[] = [
  [
    /^\/dev\/rtc\d*$/,
    { code: "DEVICE_RTC", what: "the real-time clock", remedy: "Let the program close /dev/rtc first." },
  ],
  [
    /^\/secretmem/,
    {
      code: "SECRETMEM",
      what: "secret memory (memfd_secret)",
      remedy: "Let the program unmap it: it is made not to be read.",
    },
  ],
  [
    /^(\/dev\/vfio|\/dev\/nvidia|\/dev\/infiniband)/,
    { code: "DEVICE_HARDWARE", what: "a device that it drives itself", remedy: "Stop the job on the device first." },
  ],
];

/**
 * A file of a control group by which a program is told when memory, processors or disks are short: what it has written
 * (Documentation/accounting/psi.rst) is kept with the open file, and cannot be read.
 */
export function isPressureTrigger({ link, info }: OpenFile): boolean {
  return (
    /^\/sys\/fs\/cgroup\/.*\/(memory|cpu|io)\.pressure$/.test(link) &&
    (info.flags & O.O_PATH) === 0 &&
    (info.flags & O_ACCMODE) !== 0
  );
}

const PRESSURE: Refused = {
  code: "PRESSURE_TRIGGER",
  what: "a request to be told of pressure on its control group",
  remedy:
    "Set MemoryPressureWatch=off for its unit (systemd.resource-control(5)) and restart it, or let the program close it.",
};

function find(file: OpenFile): Refused | undefined {
  const anonymous = /^anon_inode:\[?(.*?)\]?$/.exec(file.link)?.[1];
  if (anonymous !== undefined) return ANONYMOUS[anonymous.replace(/^kvm-vcpu:.*/, "kvm-vcpu")];
  const named = NAMED.find(([pattern]) => pattern.test(file.link))?.[1];
  if (named) return named;
  if (isPressureTrigger(file)) return PRESSURE;
  if (file.link.startsWith("/dmabuf:")) return ANONYMOUS["dmabuf"];
  if (file.stat.type === S_IF.S_IFCHR) {
    return DEVICES[file.stat.deviceNode] ?? DEVICES[file.stat.deviceNode.split(":")[0] ?? ""] ?? otherDevice(file);
  }
  return file.stat.type === S_IF.S_IFBLK ? blockDevice(file) : undefined;
}

function otherDevice(file: OpenFile): Refused {
  return {
    code: "DEVICE",
    what: `the device ${file.link} (character device ${file.stat.deviceNode})`,
    remedy: "Let the program close it: what a driver keeps for it cannot be asked for.",
  };
}

function blockDevice(file: OpenFile): Refused {
  return {
    code: "DEVICE_BLOCK",
    what: `the disk ${file.link} (block device ${file.stat.deviceNode})`,
    remedy: "Wait until the program has finished with it: disks can have other names after a reboot.",
  };
}

export const unsupportedFile: FileKind<never, "refused"> = {
  name: "refused",
  schema: v.never(),
  recognise: (file) => find(file) !== undefined,
  freeze(file) {
    const { code, what, remedy } = find(file) as Refused;
    throw new Refusal(
      code,
      {
        what: `Process ${file.pid} (${file.command}) has ${what}.`,
        why: `Descriptor ${file.fd} leads to ${file.link}, whose state lies in the kernel alone.`,
        remedy,
      },
      { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
    );
  },
  thaw() {
    throw new RangeError("a refused file cannot be in an image");
  },
};
