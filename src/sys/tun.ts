/** Network devices that programs play: /dev/net/tun (include/uapi/linux/if_tun.h, Documentation/networking/tuntap.rst). */
import { IFREQ_SIZE } from "../abi/packet-socket.ts";
import {
  FLAGS_AT,
  IFF,
  NOT_ASKED,
  TUNGETIFF,
  TUNGETSNDBUF,
  TUNGETVNETHDRSZ,
  TUNSETGROUP,
  TUNSETIFF,
  TUNSETIFINDEX,
  TUNSETOWNER,
  TUNSETPERSIST,
  TUNSETQUEUE,
  TUNSETSNDBUF,
  TUNSETVNETHDRSZ,
} from "../abi/tun.ts";
import { attempt, call, withStruct } from "./call.ts";

/** The device that a descriptor plays; undefined when it plays none. */
export function tunDevice(fd: number): { name: string; flags: number } | undefined {
  return withStruct(IFREQ_SIZE, (request, at) => {
    if (attempt("ioctl", fd, TUNGETIFF, at) < 0) return undefined;
    return {
      name: request.toString("latin1", 0, FLAGS_AT).replace(/\0.*$/, ""),
      flags: request.readUInt16LE(FLAGS_AT),
    };
  });
}

/** Attaches a descriptor to a device, which is made if it is not there: with this index, if that is free. */
export function attachTun(fd: number, name: string, flags: number, index: number): void {
  const about = `Attaching to network device ${name}`;
  const request = (value: number, then: (at: number) => number): number =>
    withStruct(IFREQ_SIZE, (bytes, at) => {
      bytes.write(name, 0, FLAGS_AT - 1, "latin1");
      bytes.writeUInt16LE(value, FLAGS_AT);
      return then(at);
    });
  withStruct(4, (bytes, at) => {
    bytes.writeInt32LE(index, 0);
    attempt("ioctl", fd, TUNSETIFINDEX, at);
  });
  request(flags & ~NOT_ASKED, (at) => call("ioctl", about, fd, TUNSETIFF, at));
  call("ioctl", about, fd, TUNSETPERSIST, (flags & IFF.IFF_PERSIST) === 0 ? 0 : 1);
  if ((flags & IFF.IFF_DETACH_QUEUE) !== 0) {
    request(IFF.IFF_DETACH_QUEUE, (at) => call("ioctl", about, fd, TUNSETQUEUE, at));
  }
}

/** Whose it is (TUNSETOWNER, TUNSETGROUP): nobody in particular, as a new one is, when absent. */
export function ownTun(fd: number, user: number | undefined, group: number | undefined): void {
  const about = "Giving a network device to its owner";
  if (user !== undefined) call("ioctl", about, fd, TUNSETOWNER, user);
  if (group !== undefined) call("ioctl", about, fd, TUNSETGROUP, group);
}

function getInt(fd: number, command: number): number {
  return withStruct(4, (bytes, at) => (attempt("ioctl", fd, command, at) < 0 ? 0 : bytes.readInt32LE(0)));
}

function setInt(fd: number, command: number, value: number): void {
  withStruct(4, (bytes, at) => {
    bytes.writeInt32LE(value, 0);
    call("ioctl", "Setting up a network device", fd, command, at);
  });
}

export const tunSizes = (fd: number): { sendBuffer: number; header: number } => ({
  sendBuffer: getInt(fd, TUNGETSNDBUF),
  header: getInt(fd, TUNGETVNETHDRSZ),
});

export function setTunSizes(fd: number, { sendBuffer, header }: { sendBuffer: number; header: number }): void {
  if (sendBuffer > 0) setInt(fd, TUNSETSNDBUF, sendBuffer);
  if (header > 0) setInt(fd, TUNSETVNETHDRSZ, header);
}
