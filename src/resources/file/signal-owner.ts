/** Who gets signals about an open file (fcntl(2), F_SETOWN_EX and F_SETSIG), and by whose right. */
import * as v from "valibot";
import { SyscallError, attempt, call, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { F } from "../../abi/fcntl.ts";
import { withIds } from "../../sys/identity.ts";
import type { LocalFd } from "../../lib/brand.ts";

export const ownerSchema = v.strictObject({
  /** F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP. */
  type: v.number(),
  pid: v.number(),
  signal: v.number(),
  /** Real and effective user of who set it: the signal must be one that this user may send. */
  uids: v.optional(v.tuple([v.number(), v.number()])),
});
export type Owner = v.InferOutput<typeof ownerSchema>;

/** Struct f_owner_ex of F_GETOWN_EX. */
export function readOwner(fd: LocalFd): Owner | undefined {
  return withStruct(8, (bytes, address) => {
    const result = attempt("fcntl", fd, F.F_GETOWN_EX, address);
    if (result === -ERRNO.EBADF) return undefined; // O_PATH
    if (result < 0) throw new SyscallError("fcntl", result, "Asking for the owner of a file");
    const [type, pid] = [bytes.readInt32LE(0), bytes.readInt32LE(4)];
    const signal = Math.max(attempt("fcntl", fd, F.F_GETSIG, 0), 0);
    if (pid === 0) return signal === 0 ? undefined : { type, pid, signal };
    // Needs CONFIG_CHECKPOINT_RESTORE.
    if (attempt("fcntl", fd, F.F_GETOWNER_UIDS, address) < 0) return { type, pid, signal };
    return { type, pid, signal, uids: [bytes.readUInt32LE(0), bytes.readUInt32LE(4)] };
  });
}

export function setOwner(fd: LocalFd, owner: Owner): void {
  const [uid = 0, euid = 0] = owner.uids ?? [];
  const ours = process.getuid?.() === 0 && (uid !== 0 || euid !== 0);
  const set = (): void =>
    withStruct(8, (bytes, address) => {
      bytes.writeInt32LE(owner.type, 0);
      bytes.writeInt32LE(owner.pid, 4);
      // The owner may be a process that is not there any more.
      attempt("fcntl", fd, F.F_SETOWN_EX, address);
    });
  if (ours) withIds(uid, euid, set);
  else set();
  if (owner.signal !== 0) call("fcntl", "Setting the signal of a file", fd, F.F_SETSIG, owner.signal);
}
