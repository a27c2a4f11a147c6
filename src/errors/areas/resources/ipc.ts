/** System V IPC and POSIX message queues. */
import { refused, type NamedFile, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";

export const ipc = {
  MQ_NOTIFY: refused(({ file, why }: Texts<"why"> & { readonly file: NamedFile }) => ({
    what: `Process ${file.pid} (${file.command}) uses a message queue that cannot be carried.`,
    why: `Descriptor ${file.fd} is the queue ${file.link}. ${why}`,
    remedy: "Let the program close it first.",
    facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "message-queue" },
  })),
  IPC_NAMESPACE_OBJECTS: refused(({ pid, command, queues }: NamedProcess & Texts<"queues">) => ({
    what: `The IPC namespace of process ${pid} (${command}) holds objects that cannot be carried.`,
    why: `Messages wait in ${queues}. Somebody waits for news of it (mq_notify(3)), whom to look at them would tell.`,
    remedy: "Let the program receive them or remove the queue first (mq_receive(3), mq_unlink(3)).",
    facts: { pid, command, resource: "ipc-namespace" },
  })),
  SEM_UNDO: refused(({ pid, command, why }: NamedProcess & Texts<"why">) => ({
    what: `Process ${pid} (${command}) has semaphore operations to be undone at its end (SEM_UNDO) that cannot be carried.`,
    why,
    remedy: "Try again later, or let the program take them back first.",
    facts: { pid, command, resource: "semaphore" },
  })),
  SEMAPHORE_TAKEN: refused(({ process, id }: Numbers<"id"> & { readonly process: NamedProcess }) => ({
    what: `Process ${process.pid} (${process.command}) cannot have its semaphore again.`,
    why: `It held what others have taken of the semaphores ${id} meanwhile.`,
    remedy: "Wait until they have given it back.",
    facts: { pid: process.pid, command: process.command },
  })),
  SYSV_ID_TAKEN: {
    segment: refused(
      ({
        id,
        key,
        other,
        otherKey,
      }: Numbers<"id" | "key"> & { readonly other?: number | undefined; readonly otherKey?: number | undefined }) => ({
        what: `The shared memory ${id} (key ${key}) that the processes had attached cannot be made again.`,
        why: `Another segment has the id ${other} and the key ${otherKey} here.`,
        remedy: `Remove it (ipcrm -m ${other}) when nobody needs it.`,
      }),
    ),
    object: refused(
      ({
        what,
        id,
        key,
        other,
        otherKey,
      }: Texts<"what"> &
        Numbers<"id" | "key"> & { readonly other?: number | undefined; readonly otherKey?: number | undefined }) => ({
        what: `The ${what} ${id} (key ${key}) that the processes have used cannot be made again.`,
        why: `Another object of System V has the id ${other} and the key ${otherKey} here.`,
        remedy: `Remove it (ipcrm(1)) when nobody needs it.`,
      }),
    ),
  },
  SYSV_SHM: refused(({ pid, command, start, inode }: NamedProcess & Texts<"start"> & Numbers<"inode">) => ({
    what: `Process ${pid} (${command}) has memory that cannot be frozen.`,
    why: `The mapping at 0x${start} is shared memory ${inode} of an IPC namespace that the process has left.`,
    remedy: "Let the program detach it (shmdt), or leave this process out.",
    facts: { pid, command, resource: "mapping" },
  })),
};
