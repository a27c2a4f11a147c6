/** Keys and seccomp. */
import { failed, refused, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";
import type { FailureFacts, FailureText } from "../../failure.ts";

type OfThread = { readonly process: NamedProcess } & Numbers<"tid">;

function cannotFreezeFilter(
  { pid, command }: NamedProcess,
  tid: number,
  why: string,
): FailureText & { readonly facts: FailureFacts } {
  return {
    what: `Process ${pid} (${command}) has a filter of system calls that cannot be frozen.`,
    why,
    remedy: "Run kmonte as root, outside of any filter, or leave this process out.",
    facts: { pid, tid, command, resource: "seccomp" },
  };
}

export const security = {
  KEYRING: {
    unreadable: refused(({ pid, command, tid, why }: NamedProcess & Texts<"why"> & Numbers<"tid">) => ({
      what: `Process ${pid} (${command}) holds keys that cannot be carried.`,
      why: `As thread ${tid} sees it, ${why} (keyctl(2)).`,
      remedy: "Let the program give up these keys, or leave it out.",
      facts: { pid, tid, command, resource: "keyring" },
    })),
    sharedByThreads: refused(({ pid, command, tid }: NamedProcess & Numbers<"tid">) => ({
      what: `Process ${pid} (${command}) holds keys that cannot be carried.`,
      why: `It has a process keyring, as thread ${tid} sees it (keyctl(2)), and several threads: each would get one of its own.`,
      remedy: "Let the program put its keys into the keyring of its session or user, or leave it out.",
      facts: { pid, tid, command, resource: "keyring" },
    })),
  },
  KEYRING_NAME: failed(({ pid, command, name }: NamedProcess & Texts<"name">) => ({
    what: `Process ${pid} (${command}) cannot join its session keyring again.`,
    why: `Another keyring of the machine is called ${name} and open to everybody of that user.`,
    remedy: "Unlink that keyring, or revoke it (keyctl(1)).",
  })),
  SECCOMP_FILTER: {
    unreadable: refused(({ process, tid, why }: OfThread & Texts<"why">) => cannotFreezeFilter(process, tid, why)),
    tooLong: refused(({ process, tid, number, longest }: OfThread & Numbers<"number" | "longest">) =>
      cannotFreezeFilter(process, tid, `Filter ${number} of thread ${tid} is longer than ${longest} bytes.`),
    ),
  },
  SECCOMP_LISTENER: refused(({ pid, command, tid }: NamedProcess & Numbers<"tid">) => ({
    what: `Process ${pid} (${command}) has a filter that asks another process about system calls.`,
    why: `A filter of thread ${tid} answers SECCOMP_RET_USER_NOTIF (seccomp_unotify(2)).`,
    remedy: "Leave this process out, with whoever listens.",
    facts: { pid, tid, command, resource: "seccomp" },
  })),
};
