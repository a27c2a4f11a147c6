/** Flags of files: ioctl_iflags(2), include/uapi/linux/fs.h. */
import { ALL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS } from "../abi/file-flags.ts";
import { attempt, call, withStruct } from "./call.ts";

/** The flags that {@link FS_FL} names; 0 on file systems that have none. */
export function fileFlags(fd: number): number {
  return allFlags(fd) & ALL;
}

function allFlags(fd: number): number {
  return withStruct(8, (bytes, address) =>
    attempt("ioctl", fd, FS_IOC_GETFLAGS, address) < 0 ? 0 : bytes.readUInt32LE(0),
  );
}

/** Sets the flags that {@link FS_FL} names, and leaves the others. */
export function setFileFlags(fd: number, flags: number, about: string): void {
  withStruct(8, (bytes, address) => {
    bytes.writeUInt32LE(((allFlags(fd) & ~ALL) | flags) >>> 0);
    call("ioctl", about, fd, FS_IOC_SETFLAGS, address);
  });
}
