/** Handles of files: name_to_handle_at(2), open_by_handle_at(2). */
import { AT_EMPTY_PATH, O } from "../abi/fcntl.ts";
import type { LocalFd } from "../lib/brand.ts";
import { attempt, call, withStruct, withText } from "./call.ts";

/** Struct file_handle. */
export interface FileHandle {
  readonly type: number;
  readonly bytes: Buffer;
}

/** MAX_HANDLE_SZ */
const MOST_BYTES = 128;
const HEADER = 8;

/** The handle of an open file, which may have been opened with O_PATH. */
export function handleOf(fd: LocalFd): FileHandle {
  return withStruct(HEADER + MOST_BYTES + 8, (bytes, address) => {
    bytes.writeUInt32LE(MOST_BYTES, 0);
    const mountId = address + HEADER + MOST_BYTES;
    withText("", (path) => call("name_to_handle_at", "Naming a file", fd, path, address, mountId, AT_EMPTY_PATH));
    const length = bytes.readUInt32LE(0);
    return { type: bytes.readInt32LE(4), bytes: Buffer.from(bytes.subarray(HEADER, HEADER + length)) };
  });
}

/** Opens a file by handle, seen through the mount on which `anchor` lies; a negated errno when there is none. */
export function openHandle(anchor: number, handle: FileHandle, flags: number): number {
  return withStruct(HEADER + handle.bytes.length, (bytes, address) => {
    bytes.writeUInt32LE(handle.bytes.length, 0);
    bytes.writeInt32LE(handle.type, 4);
    handle.bytes.copy(bytes, HEADER);
    return attempt("open_by_handle_at", anchor, address, flags | O.O_CLOEXEC);
  });
}
