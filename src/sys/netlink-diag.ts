/** sock_diag(7): asking the kernel about sockets of a network namespace, one dump a question. */
import { closeSync } from "node:fs";
import {
  HEADER,
  NETLINK_SOCK_DIAG,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLM_F_REQUEST_ACK,
  NLM_F_REQUEST_DUMP,
  SOCK_DESTROY,
  SOCK_DIAG_BY_FAMILY,
  align,
} from "../abi/netlink-diag.ts";
import { AF, SOCK, SOCK_CLOEXEC } from "../abi/socket.ts";
import { SyscallError, attempt, call } from "./call.ts";
import { NativeBuffer } from "./ffi.unsafe.ts";
import { trySend } from "./message.ts";

/** Sends a dump request (the part behind struct nlmsghdr) and returns the bodies of all answers. */
export function sockDiagDump(request: Buffer): Buffer[] {
  return ask(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, request, readAnswers);
}

/** Ends the socket that the request names (CONFIG_INET_DIAG_DESTROY); returns 0 or a negated errno. */
export function sockDestroy(request: Buffer): number {
  return ask(SOCK_DESTROY, NLM_F_REQUEST_ACK, request, (fd) => {
    using room = new NativeBuffer(4096);
    const got = attempt("recvfrom", fd, room.address, room.size, 0, 0, 0);
    return got < 0 ? got : room.bytes.readInt32LE(HEADER);
  });
}

function ask<T>(type: number, flags: number, request: Buffer, answer: (fd: number) => T): T {
  const fd = call("socket", "Asking about sockets", AF.AF_NETLINK, SOCK.SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  try {
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(HEADER + request.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(flags, 6);
    const sent = trySend(fd, Buffer.concat([header, request]), [], undefined);
    if (sent < 0) throw new SyscallError("sendmsg", sent, "Asking about sockets");
    return answer(fd);
  } finally {
    closeSync(fd);
  }
}

function readAnswers(fd: number): Buffer[] {
  using room = new NativeBuffer(64 * 1024);
  const answers: Buffer[] = [];
  for (;;) {
    const got = attempt("recvfrom", fd, room.address, room.size, 0, 0, 0);
    if (got < 0) throw new SyscallError("recvfrom", got, "Hearing about sockets");
    for (let at = 0; at + HEADER <= got;) {
      const length = room.bytes.readUInt32LE(at);
      const type = room.bytes.readUInt16LE(at + 4);
      if (type === NLMSG_DONE) return answers;
      if (type === NLMSG_ERROR)
        throw new SyscallError("sock_diag", room.bytes.readInt32LE(at + HEADER), "Asking about sockets");
      answers.push(Buffer.from(room.bytes.subarray(at + HEADER, at + length)));
      at += align(length);
    }
  }
}
