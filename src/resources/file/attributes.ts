/** What belongs to a file besides its contents: owner, mode, times and extended attributes (inode(7), xattr(7)). */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { readlinkSync } from "../../sys/files.ts";
import { attempt, call, withStruct, withText } from "../../sys/call.ts";
import { AT_FDCWD, O } from "../../abi/fcntl.ts";
import { asUser, asUserAlone } from "../../sys/identity.ts";
import { fileTimes } from "../../sys/stat.ts";
import type { FreezeContext } from "../freeze-context.ts";
import { notReadable, type Way } from "./readable.ts";
import { openPath } from "./path-file.ts";

const nanoseconds = v.pipe(v.string(), v.regex(/^-?\d+$/));

export const extraAttributes = {
  /** When it was last read and written to, nanoseconds since the epoch. */
  times: v.optional(v.strictObject({ access: nanoseconds, modification: nanoseconds })),
  /** Extended attributes by name, base64. */
  xattrs: v.optional(v.record(v.string(), v.string())),
};
export interface ExtraAttributes {
  readonly times?: { readonly access: string; readonly modification: string } | undefined;
  readonly xattrs?: Readonly<Record<string, string>> | undefined;
}

/** Attributes that a file system gives by itself, and that cannot be set or shall not be. */
const OWN = /^system\.(?!posix_acl)|^trusted\.overlay\.|^security\.(selinux|ima|evm)/;
const MOST_BYTES = 64 * 1024;

/** The file may have no name. For a user, attributes are read with that user's rights; one that is not is refused. */
export function freezeAttributes(context: FreezeContext, way: Way): ExtraAttributes {
  const { access, modification } = fileTimes(way.via);
  const xattrs = readAttributes(context, way);
  return {
    times: { access: String(access), modification: String(modification) },
    ...(Object.keys(xattrs).length > 0 && { xattrs }),
  };
}

function readAttributes({ user }: FreezeContext, way: Way): Record<string, string> {
  const file = openPath(way.via, O.O_PATH);
  const via = `/proc/self/fd/${file}`;
  try {
    const names = fill((address, size) => withText(via, (path) => attempt("listxattr", path, address, size)));
    const values: Record<string, string> = {};
    for (const name of names?.toString().split("\0") ?? []) {
      if (name === "" || OWN.test(name)) continue;
      const ask = (): Buffer | undefined =>
        fill((address, size) =>
          withText(via, (path) => withText(name, (key) => attempt("getxattr", path, key, address, size))),
        );
      const value = asUser(user, () => asUserAlone(ask));
      if (!value && user)
        throw notReadable(way, `${way.link} has the extended attribute ${name}, which it may not read.`);
      if (value) values[name] = value.toString("base64");
    }
    return values;
  } finally {
    closeSync(file);
  }
}

function fill(ask: (address: number, size: number) => number): Buffer | undefined {
  return withStruct(MOST_BYTES, (bytes, address) => {
    const length = ask(address, MOST_BYTES);
    return length < 0 ? undefined : Buffer.from(bytes.subarray(0, length));
  });
}

/** Last, when nothing is written any more. `fd` may be one of O_PATH. */
export function thawAttributes(fd: number, { times, xattrs = {} }: ExtraAttributes): void {
  const via = `/proc/self/fd/${fd}` as const;
  const about = `Marking ${readlinkSync(via)}`;
  for (const [name, value] of Object.entries(xattrs)) {
    const bytes = Buffer.from(value, "base64");
    withStruct(bytes.length + 1, (buffer, address) => {
      bytes.copy(buffer);
      // For a user without any right of ours: there are attributes that only capabilities other than those of files allow.
      asUserAlone(() =>
        withText(via, (path) => withText(name, (key) => call("setxattr", about, path, key, address, bytes.length, 0))),
      );
    });
  }
  if (!times) return;
  withStruct(32, (buffer, address) => {
    [times.access, times.modification].forEach((text, i) => {
      const time = BigInt(text);
      const rest = ((time % SECOND) + SECOND) % SECOND;
      buffer.writeBigInt64LE((time - rest) / SECOND, i * 16);
      buffer.writeBigInt64LE(rest, i * 16 + 8);
    });
    withText(via, (path) => call("utimensat", about, AT_FDCWD, path, address, 0));
  });
}

const SECOND = 1_000_000_000n;
