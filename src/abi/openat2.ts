/** openat2(2), struct open_how of linux/openat2.h. */
import type { LocalFd } from "../lib/brand.ts";
import { call, withStruct, withText } from "./call.ts";
import { AT_FDCWD, O } from "./fcntl.ts";
import { asUserAlone } from "./identity.ts";

const RESOLVE_NO_SYMLINKS = 4;
const SIZE = 24;

/** A folder, opened for its name only (O_PATH), no part of whose path is a symbolic link. */
export function openWithoutLinks(folder: string): LocalFd {
  return withText(folder, (path) =>
    withStruct(SIZE, (how, at) => {
      how.writeBigUInt64LE(BigInt(O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC), 0);
      how.writeBigUInt64LE(BigInt(RESOLVE_NO_SYMLINKS), 16);
      return asUserAlone(() => call("openat2", `Opening ${folder}`, AT_FDCWD, path, at, SIZE) as LocalFd);
    }),
  );
}
