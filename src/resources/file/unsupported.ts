/** Open files that no kernel lets anyone make again: each is refused by its own name, with a way out. */
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

/** Refuses a file by name. */
type Refuse = (values: { readonly file: OpenFile }) => Refusal;

/** What /proc shows behind `anon_inode:`, brackets left out. */
const ANONYMOUS: Readonly<Record<string, Refuse>> = {
  perf_event: failures.PERF_EVENT,
  "bpf-prog": failures.BPF.program,
  "bpf-link": failures.BPF.link,
  bpf_link: failures.BPF.link,
  btf: failures.BPF.types,
  "bpf-token": failures.BPF.token,
  bpf_iter: failures.BPF.iterator,
  userfaultfd: failures.USERFAULTFD.file,
  io_uring: failures.IO_URING.file,
  fscontext: failures.MOUNT_IN_PROGRESS,
  "seccomp notify": failures.SECCOMP_NOTIFY,
  "landlock-ruleset": failures.LANDLOCK,
  "kvm-vm": failures.KVM.machine,
  "kvm-vcpu": failures.KVM.processor,
  dmabuf: failures.DMABUF.buffer,
  sync_file: failures.DMABUF.fence,
};

/** Device nodes by major and minor number, or by major alone (Documentation/admin-guide/devices.txt). */
const DEVICES: Readonly<Record<string, Refuse>> = {
  "10:229": failures.DEVICE_FUSE,
  "10:223": failures.DEVICE_INPUT.own,
  "10:130": failures.DEVICE_WATCHDOG,
  "1:1": failures.DEVICE_MEMORY.machine,
  "1:2": failures.DEVICE_MEMORY.kernel,
  "1:4": failures.DEVICE_MEMORY.ports,
  "13": failures.DEVICE_INPUT.device,
  "29": failures.DEVICE_DISPLAY.frameBuffer,
  "116": failures.DEVICE_SOUND,
  "226": failures.DEVICE_DISPLAY.graphics,
  "250": failures.DEVICE_RTC,
};

/** By the kernel's own name of the device, where numbers are given out at boot. */
const NAMED: readonly (readonly [RegExp, Refuse])[] = [
  [/^\/dev\/rtc\d*$/, failures.DEVICE_RTC],
  [/^\/secretmem/, failures.SECRETMEM],
  [/^(\/dev\/vfio|\/dev\/nvidia|\/dev\/infiniband)/, failures.DEVICE_HARDWARE],
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

function find(file: OpenFile): Refuse | undefined {
  const anonymous = /^anon_inode:\[?(.*?)\]?$/.exec(file.link)?.[1];
  if (anonymous !== undefined) return ANONYMOUS[anonymous.replace(/^kvm-vcpu:.*/, "kvm-vcpu")];
  const named = NAMED.find(([pattern]) => pattern.test(file.link))?.[1];
  if (named) return named;
  if (isPressureTrigger(file)) return failures.PRESSURE_TRIGGER;
  if (file.link.startsWith("/dmabuf:")) return ANONYMOUS["dmabuf"];
  if (file.stat.type === S_IF.S_IFCHR) {
    return DEVICES[file.stat.deviceNode] ?? DEVICES[file.stat.deviceNode.split(":")[0] ?? ""] ?? otherDevice;
  }
  return file.stat.type === S_IF.S_IFBLK ? disk : undefined;
}

const otherDevice: Refuse = ({ file }) => failures.DEVICE({ file, device: file.stat.deviceNode });
const disk: Refuse = ({ file }) => failures.DEVICE_BLOCK({ file, device: file.stat.deviceNode });

export const unsupportedFile: FileKind<never, "refused"> = {
  name: "refused",
  schema: v.never(),
  recognise: (file) => find(file) !== undefined,
  freeze(file) {
    throw (find(file) as Refuse)({ file });
  },
  thaw() {
    throw new InconsistentImage("a refused file cannot be in an image");
  },
};
