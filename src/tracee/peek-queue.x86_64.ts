/**
 * Looking into a message queue of POSIX (mq_overview(7)), which gives its messages only to whoever takes them. They are
 * all taken and put back at once, in their order, by a tiny program of its own: whoever ends kmonte meanwhile does not
 * end that.
 */
import { closeSync, readFileSync } from "node:fs";
import { call, withText } from "../sys/call.ts";
import { F } from "../abi/fcntl.ts";
import type { QueueAttributes, QueuedMessage } from "../sys/mqueue.ts";
import { withAllSignalsBlocked } from "../sys/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { wait4 } from "../sys/wait.ts";
import type { LocalFd } from "../lib/brand.ts";
import { failures } from "../errors/catalogue.ts";
import { int32 } from "../sys/machine-code.x86_64.ts";
import { buildProgram, headerBytes, PF_R, PF_W, PF_X, startProgram } from "./tiny-program.x86_64.ts";

const START = 0x10_0000;
/** Where the messages stand meanwhile: length, priority, and the bytes. */
const TABLE = 0x100_0000;
const HEADER = 16;

const syscall = (number: number): number[] => [0xb8, ...int32(number), 0x0f, 0x05]; // mov eax, number; syscall

/** For each record of the table: mov r12, TABLE; mov r13d, count; again: …; add r12, stride; dec r13d; jnz again. */
function forEach(count: number, stride: number, body: readonly number[]): number[] {
  const turn = [...body, 0x49, 0x81, 0xc4, ...int32(stride), 0x41, 0xff, 0xcd];
  const back = -(turn.length + 6);
  return [0x49, 0xc7, 0xc4, ...int32(TABLE), 0x41, 0xbd, ...int32(count), ...turn, 0x0f, 0x85, ...int32(back)];
}

function buildCode(queue: number, out: number, count: number, messageSize: number, stride: number): Buffer {
  const take = [
    ...[0xbf, ...int32(queue)], // mov edi, queue
    ...[0x49, 0x8d, 0x74, 0x24, HEADER], // lea rsi, [r12+16]
    ...[0xba, ...int32(messageSize)], // mov edx, size
    ...[0x4d, 0x8d, 0x54, 0x24, 8], // lea r10, [r12+8]
    ...[0x45, 0x31, 0xc0], // xor r8d, r8d
    ...syscall(SYS.mq_timedreceive),
    ...[0x49, 0x89, 0x04, 0x24], // mov [r12], rax
  ];
  const send = [
    ...[0xbf, ...int32(queue)],
    ...[0x49, 0x8d, 0x74, 0x24, HEADER],
    ...[0x45, 0x8b, 0x54, 0x24, 8], // mov r10d, [r12+8]
    ...[0x45, 0x31, 0xc0],
    ...syscall(SYS.mq_timedsend),
  ];
  const put = [
    ...[0x49, 0x8b, 0x14, 0x24], // mov rdx, [r12]
    ...[0x48, 0x85, 0xd2], // test rdx, rdx
    ...[0x78, send.length], // js over it: nothing was taken
    ...send,
  ];
  return Buffer.from([
    ...forEach(count, stride, take),
    ...forEach(count, stride, put),
    ...[0xbf, ...int32(out)],
    ...[0x48, 0xc7, 0xc6, ...int32(TABLE)], // mov rsi, TABLE
    ...[0xba, ...int32(count * stride)],
    ...syscall(SYS.write),
    ...[0x31, 0xff], // xor edi, edi
    ...syscall(SYS.exit),
  ]);
}

/** `queue` can be read and written and does not block; nobody waits for news of it (mq_notify(3)). */
export function peekQueue(queue: LocalFd, { messages: count, messageSize }: QueueAttributes): QueuedMessage[] {
  if (count === 0) return [];
  const about = "Looking into a message queue";
  const stride = HEADER + Math.ceil(messageSize / 8) * 8;
  // Neither is closed in the program.
  const out = withText("messages", (name) => call("memfd_create", about, name, 0));
  try {
    call("fcntl", about, queue, F.F_SETFD, 0);
    const code = buildCode(queue, out, count, messageSize, stride);
    const program = buildProgram(START, code, [
      { flags: PF_R | PF_X, address: START, fileSize: headerBytes(2) + code.length },
      { flags: PF_R | PF_W, address: TABLE, fileSize: 0, memorySize: count * stride },
    ]);
    const status = withAllSignalsBlocked(() => {
      const pid = startProgram(program);
      return pid > 0 ? wait4(pid, 0) : undefined;
    });
    const table = readFileSync(`/proc/self/fd/${out}`);
    if (typeof status !== "object" || status.state !== "exited" || table.length !== count * stride)
      throw failures.MQ_UNSEEN({ count });
    return Array.from({ length: count }, (_, i) => {
      const length = Number(table.readBigInt64LE(i * stride));
      if (length < 0) throw failures.MQ_UNSEEN({ count });
      const at = i * stride + HEADER;
      return { priority: table.readUInt32LE(i * stride + 8), bytes: Buffer.from(table.subarray(at, at + length)) };
    });
  } finally {
    closeSync(out);
  }
}
