/** Memory, and the kernel's own code in it. */
import { failed, refused, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";
import { refusedMapping } from "./phrases.ts";

export const memory = {
  PROTECTION_KEY: refused(({ pid, command, needed }: NamedProcess & Numbers<"needed">) => ({
    what: `Process ${pid} (${command}) cannot have its memory protection keys again.`,
    why: `It needs ${needed} of them (pkeys(7)), and this processor or kernel does not have them.`,
    remedy: "Thaw on a machine whose /proc/cpuinfo shows ospke.",
    facts: { pid, command, resource: "protection-keys" },
  })),
  NO_VDSO: {
    kernel: failed(() => ({
      what: "This kernel gives processes no vDSO.",
      remedy: "Boot it without vdso=0.",
    })),
    process: failed(({ tid }: Numbers<"tid">) => ({
      what: `No system call can be made inside process ${tid}.`,
      why: "Neither in a vDSO nor in its own text is a system call that returns (was it started with vdso=0?).",
      remedy: "Start the program on a kernel with the vDSO switched on.",
    })),
  },
  VDSO_FUNCTION_SHORT: failed(({ name, size }: Texts<"name"> & Numbers<"size">) => ({
    what: "The vDSO that the processes came with cannot be carried over to this kernel.",
    why: `Its function ${name} has ${size} bytes, too few for a jump.`,
    remedy: "Thaw on the kernel that the image came from.",
  })),

  SHADOW_STACK: refusedMapping("is a shadow stack", "Start the program without user shadow stacks (GLIBC_TUNABLES)."),
  ANON_INODE_MAPPING: refusedMapping(
    "belongs to a kernel object that cannot be made again",
    "Let the program unmap it.",
  ),
  DEVICE_MAPPING: refusedMapping("is a window into a device", "Let the program unmap the device first."),
};
