/** Open files that no kernel lets anyone make again. */
import { type NamedFile, refused, type Texts } from "../../entry.ts";
import { inKernel, refusedInKernel, refusedMapping } from "./phrases.ts";

type OfDevice = { readonly file: NamedFile } & Texts<"device">;

const CLOSE = "Let the program close it first.";

export const device = {
  PERF_EVENT: refusedInKernel("a performance counter", "End the profiling (perf, bpftrace) first."),
  USERFAULTFD: {
    file: refusedInKernel("a userfaultfd", "Let the program close it first (post-copy has ended)."),
    mapping: refusedMapping("is watched through userfaultfd", "Let the program unregister the range first."),
  },
  MOUNT_IN_PROGRESS: refusedInKernel("a file system that is being mounted (fsopen)", "Wait until it is mounted."),
  SECCOMP_NOTIFY: refusedInKernel(
    "the listener of a seccomp filter",
    "Freeze the supervised program after its supervisor has let go.",
  ),
  LANDLOCK: refusedInKernel("a landlock ruleset", "Wait until the program has enforced it and closed it."),
  KVM: {
    machine: refusedInKernel(
      "a virtual machine",
      "Save the guest with its own monitor (for example savevm) and leave this process out.",
    ),
    processor: refusedInKernel(
      "a processor of a virtual machine",
      "Save the guest with its own monitor and leave this process out.",
    ),
  },
  DMABUF: {
    buffer: refusedInKernel("a buffer of a device", "Close the window or stop the camera first."),
    fence: refusedInKernel("a fence of a device", "Close the window first."),
  },
  DEVICE_FUSE: refusedInKernel(
    "a file system of its own (/dev/fuse)",
    "Unmount it, and mount it again after the thaw.",
  ),
  DEVICE_INPUT: {
    own: refusedInKernel("an input device of its own (/dev/uinput)", CLOSE),
    device: refusedInKernel(
      "an input device",
      "Leave the display server out and freeze its clients from a session without it.",
    ),
  },
  DEVICE_WATCHDOG: refusedInKernel(
    "the watchdog",
    "Stop the watchdog daemon: the machine would reset while it is frozen.",
  ),
  DEVICE_MEMORY: {
    machine: refusedInKernel("the memory of the machine (/dev/mem)", CLOSE),
    kernel: refusedInKernel("the memory of the kernel (/dev/kmem)", CLOSE),
    ports: refusedInKernel("the ports of the machine (/dev/port)", CLOSE),
  },
  DEVICE_DISPLAY: {
    frameBuffer: refusedInKernel("a frame buffer", "Leave the display server out."),
    graphics: refusedInKernel(
      "a graphics device",
      "Leave the display server out, or run the program without acceleration.",
    ),
  },
  DEVICE_SOUND: refusedInKernel("a sound device", "Stop playing first, or use a sound server."),
  DEVICE_RTC: refusedInKernel("the real-time clock", "Let the program close /dev/rtc first."),
  SECRETMEM: refusedInKernel("secret memory (memfd_secret)", "Let the program unmap it: it is made not to be read."),
  DEVICE_HARDWARE: refusedInKernel("a device that it drives itself", "Stop the job on the device first."),
  PRESSURE_TRIGGER: refusedInKernel(
    "a request to be told of pressure on its control group",
    "Set MemoryPressureWatch=off for its unit (systemd.resource-control(5)) and restart it, or let the program close it.",
  ),
  DEVICE: refused(({ file, device: number }: OfDevice) =>
    inKernel(
      file,
      `the device ${file.link} (character device ${number})`,
      "Let the program close it: what a driver keeps for it cannot be asked for.",
    ),
  ),
  DEVICE_BLOCK: refused(({ file, device: number }: OfDevice) =>
    inKernel(
      file,
      `the disk ${file.link} (block device ${number})`,
      "Wait until the program has finished with it: disks can have other names after a reboot.",
    ),
  ),
};
