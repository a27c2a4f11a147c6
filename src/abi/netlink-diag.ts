/** sock_diag(7): asking the kernel about sockets of a network namespace, one dump a question. */

export const NETLINK_SOCK_DIAG = 4;
export const SOCK_DIAG_BY_FAMILY = 20;
export const SOCK_DESTROY = 21;
export const NLM_F_REQUEST_ACK = 0x1 | 0x4;
export const NLM_F_REQUEST_DUMP = 0x1 | 0x300;
export const NLMSG_DONE = 3;
export const NLMSG_ERROR = 2;
export const HEADER = 16;
export const align = (length: number): number => (length + 3) & ~3;

/** Attributes behind a fixed struct of `fixed` bytes: type → value. */
export function attributesOf(body: Buffer, fixed: number): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = align(fixed); at + 4 <= body.length;) {
    const length = body.readUInt16LE(at);
    if (length < 4) break;
    attributes.set(body.readUInt16LE(at + 2) & 0x3fff, body.subarray(at + 4, at + length));
    at += align(length);
  }
  return attributes;
}
