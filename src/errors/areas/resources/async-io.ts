/** Asynchronous I/O and io_uring. */
import {
  failed,
  refused,
  refusedForNow,
  type NamedFile,
  type NamedProcess,
  type Numbers,
  type Texts,
} from "../../entry.ts";
import { inKernel } from "./phrases.ts";

export const asyncIo = {
  AIO_SIZE: failed(({ got, wanted }: Numbers<"got" | "wanted">) => ({
    what: "This kernel makes rings of asynchronous I/O of other sizes.",
    why: `It gave ${got} places instead of ${wanted}: it counts with more processors.`,
    remedy: "Thaw on a machine with fewer processors.",
  })),
  AIO: refused(({ process, address }: Texts<"address"> & { readonly process: NamedProcess }) => ({
    what: `Process ${process.pid} (${process.command}) has a context of asynchronous I/O that cannot be frozen.`,
    why: `The ring at ${address} is not laid out as the kernel does it, or only a part of it is mapped.`,
    remedy: "Let the program call io_destroy(2) first.",
    facts: { pid: process.pid, command: process.command, address, resource: "mapping" },
  })),
  IO_URING_USER_NAMESPACE: refused(({ pid, command, fd }: NamedProcess & Numbers<"fd">) => ({
    what: `Process ${pid} (${command}) has an io_uring that cannot be given to it again.`,
    why: `Descriptor ${fd} is one, and the process lives in a pid namespace that belongs to a user namespace of the set.`,
    remedy: "Let the program close it, or start the container without a user namespace.",
    facts: { pid, fd, command, resource: "io_uring" },
  })),
  IO_URING: {
    ring: refusedForNow(
      ({ pid, command, why, fd }: NamedProcess & Texts<"why"> & { readonly fd?: number | undefined }) => ({
        what: `Process ${pid} (${command}) has an io_uring that cannot be frozen.`,
        why: `${why}.`,
        remedy: "Try again when it is idle, or switch io_uring off in the program (UV_USE_IO_URING=0 for Node).",
        facts: { pid, command, ...(fd !== undefined && { fd }), resource: "io-uring" },
      }),
    ),
    file: refusedForNow(({ file }: { readonly file: NamedFile }) =>
      inKernel(file, "an io_uring", "Start the program without io_uring."),
    ),
  },
  IO_URING_LAYOUT: refused(() => ({
    what: "This kernel lays io_uring memory out differently.",
    why: "Programs remember where the parts of a ring are.",
    remedy: "Thaw on a kernel nearer to the old one.",
  })),
};
