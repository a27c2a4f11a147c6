/** Keys that the kernel keeps: keyctl(2), add_key(2), include/uapi/linux/keyctl.h, and /proc/keys (proc_keys(5)). */
import { readFileSync } from "node:fs";
import { KEYCTL, MOST_BYTES } from "../abi/keyctl.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { attempt, call, withStruct } from "./call.ts";

export interface ListedKey {
  readonly perm: number;
  readonly uid: number;
  readonly gid: number;
  /** It ends by itself some time. */
  readonly expires: boolean;
}

/** Keys that this thread may see. */
export function listKeys(): Map<number, ListedKey> {
  const keys = new Map<number, ListedKey>();
  for (const line of orIfGone(() => readFileSync("/proc/keys", "utf8"), "").split("\n")) {
    const [serial, , , timeout, perm, uid, gid] = line.trim().split(/\s+/);
    if (gid === undefined) continue;
    keys.set(Number.parseInt(serial as string, 16), {
      perm: Number.parseInt(perm as string, 16),
      uid: Number(uid),
      gid: Number(gid),
      expires: timeout !== "perm",
    });
  }
  return keys;
}

export function setKeyOwner(serial: number, uid: number, gid: number): void {
  call("keyctl", "Giving a key its owner", KEYCTL.CHOWN, serial, uid, gid);
}

export function setKeyRights(serial: number, perm: number): void {
  call("keyctl", "Giving a key its rights", KEYCTL.SETPERM, serial, perm);
}

/** What a key says of itself (DESCRIBE) or holds (READ), as far as this thread may have it. */
export function askKey(operation: typeof KEYCTL.DESCRIBE | typeof KEYCTL.READ, serial: number): Buffer | undefined {
  return withStruct(MOST_BYTES, (bytes, address) => {
    const length = attempt("keyctl", operation, serial, address, MOST_BYTES);
    return length < 0 ? undefined : Buffer.from(bytes.subarray(0, length));
  });
}
