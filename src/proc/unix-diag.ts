/** Unix sockets of a network namespace, by inode (include/uapi/linux/unix_diag.h). */
import { UNIX_DIAG, UDIAG_SHOW } from "../abi/sock-diag.ts";
import { attributesOf } from "../abi/netlink-diag.ts";
import { formatUnixName } from "../abi/sockaddr.ts";
import { AF } from "../abi/socket.ts";

export interface UnixSocketInfo {
  readonly inode: number;
  readonly type: number;
  /** TCP's numbers: 1 connected, 7 not connected, 10 listening. */
  readonly state: number;
  readonly name: string;
  /** Inode and device of the socket file that it was bound to. */
  readonly file: { readonly inode: number; readonly device: string } | undefined;
  readonly peer: number | undefined;
  /** Sockets of connections that nobody has accepted yet. */
  readonly pending: readonly number[];
  readonly backlog: number;
  /** 1 no more receiving, 2 no more sending (the kernel's RCV_SHUTDOWN, SEND_SHUTDOWN). */
  readonly shutdown: number;
}

export const TCP_LISTEN = 10;

/** struct unix_diag_req for all sockets. */
export function unixDiagRequest(): Buffer {
  const request = Buffer.alloc(24);
  request[0] = AF.AF_UNIX;
  request.writeUInt32LE(0xffff_ffff, 4);
  request.writeUInt32LE(UDIAG_SHOW, 12);
  return request;
}

export function parseUnixDiag(body: Buffer): UnixSocketInfo {
  const attributes = attributesOf(body, 16);
  const vfs = attributes.get(UNIX_DIAG.VFS);
  const icons = attributes.get(UNIX_DIAG.ICONS);
  const state = body[2] as number;
  return {
    inode: body.readUInt32LE(4),
    type: body[1] as number,
    state,
    name: formatUnixName(Buffer.from(attributes.get(UNIX_DIAG.NAME) ?? [])),
    // Kernel-internal device numbers: major in the upper twelve bits, minor in the lower twenty.
    file: vfs && {
      inode: vfs.readUInt32LE(0),
      device: `${vfs.readUInt32LE(4) >>> 20}:${vfs.readUInt32LE(4) & 0xfffff}`,
    },
    peer: attributes.get(UNIX_DIAG.PEER)?.readUInt32LE(0),
    pending: icons ? Array.from({ length: icons.length / 4 }, (_, i) => icons.readUInt32LE(i * 4)) : [],
    backlog: state === TCP_LISTEN ? (attributes.get(UNIX_DIAG.RQLEN)?.readUInt32LE(4) ?? 0) : 0,
    shutdown: attributes.get(UNIX_DIAG.SHUTDOWN)?.[0] ?? 0,
  };
}
