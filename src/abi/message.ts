/** recvmsg(2) and sendmsg(2) with control data (cmsg(3)), for peeking into sockets and filling them. */
import { SOL } from "./socket.ts";

/** Control messages of SOL_SOCKET (unix(7)). */
export const SCM = { SCM_RIGHTS: 1, SCM_CREDENTIALS: 2, SCM_SECURITY: 3, SCM_PIDFD: 4 } as const;

export interface ControlMessage {
  readonly level: number;
  readonly type: number;
  readonly data: Buffer;
}

/** struct msghdr, one iovec, an address, control data: how they lie in one piece of memory. */
export const HEADER = 56;
export const ADDRESS_AT = HEADER + 16;
export const CONTROL_AT = ADDRESS_AT + 136;
export const CONTROL_SIZE = 2048;
export const STRUCT_SIZE = CONTROL_AT + CONTROL_SIZE;

export function rightsMessage(fds: readonly number[]): ControlMessage {
  return { level: SOL.SOL_SOCKET, type: SCM.SCM_RIGHTS, data: intsOf(fds) };
}

/** struct ucred. */
export function credentialsMessage(pid: number, uid: number, gid: number): ControlMessage {
  return { level: SOL.SOL_SOCKET, type: SCM.SCM_CREDENTIALS, data: intsOf([pid, uid, gid]) };
}

function intsOf(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeInt32LE(value | 0, i * 4));
  return bytes;
}
