/**
 * An io_uring that is at rest: everything submitted has been completed (io_uring(7)). Node keeps one for each event
 * loop. A ring with work in flight, a polling thread or registered resources is refused.
 */
import { Memo } from "../memo.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { SyscallError, attempt, call } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import {
  IORING_OFF,
  IORING_OP_TIMEOUT,
  IORING_REGISTER_EVENTFD,
  IORING_TIMEOUT_MULTISHOT,
  SQE,
  UNREADABLE,
  ringSizes,
} from "../../abi/io-uring.ts";
import { RingMemory, setupRing } from "../../sys/io-uring.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { KmonteError } from "../../errors/failure.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { fdInfoValue } from "../../proc/fdinfo.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import type { ContentsHandle } from "../file/contents.ts";

const layoutSchema = v.strictObject({
  sqHead: v.number(),
  sqTail: v.number(),
  sqArray: v.number(),
  cqHead: v.number(),
  cqTail: v.number(),
  cqes: v.number(),
});

const schema = v.strictObject({
  kind: v.literal("io-uring"),
  sqEntries: v.number(),
  cqEntries: v.number(),
  /** Entries submitted and completed since the ring was made; equal, because it is at rest. */
  count: v.number(),
  /** Offsets in the ring's memory, which programs remember as pointers. */
  layout: layoutSchema,
  /** The ring's memory up to the end of the completions, base64. */
  memory: v.string(),
  /** The submission array, base64; absent for rings without one (IORING_SETUP_NO_SQARRAY). */
  array: v.optional(v.string()),
});
export type IoUringState = v.InferOutput<typeof schema>;

/** Completing this many no-operations takes about ten seconds. */
const MOST_COUNT = 2 ** 26;
const MASK_32 = 0xffff_ffff;

/** Ids of rings begin with it. */
export const RING_PREFIX = "io-uring:";

export function ringId(device: string, inode: bigint | number): string {
  return `${RING_PREFIX}${device}:${inode}`;
}

export function isRing({ link }: Pick<OpenFile, "link">): boolean {
  return link === "anon_inode:[io_uring]";
}

/** What IORING_REGISTER_EVENTFD without an eventfd answers, by ring, in whatever thread it is asked. */
const answered = new Memo(() => new Map<string, number>());

/** Keeps an answer, unless the ring gave none to the one who asked (IORING_SETUP_SINGLE_ISSUER). */
export function noteAnswer({ context, stat }: OpenFile, result: number): void {
  if (result === -ERRNO.EEXIST) return;
  context.memo(answered).set(ringId(stat.device, stat.inode), result);
}

export function freezeIoUring(file: OpenFile): IoUringState {
  const { context, stat } = file;
  const field = (name: string): number => Number(fdInfoValue(file.info, name) ?? 0);
  const count = field("CachedSqHead");
  noteAnswer(file, attempt("io_uring_register", file.local, IORING_REGISTER_EVENTFD, UNREADABLE, 1));
  const eventfd = context.memo(answered).get(ringId(stat.device, stat.inode));
  const info = readFileSync(`/proc/self/fdinfo/${file.local}`, "utf8");
  const busy = [
    [fdInfoValue(file.info, "UserFiles") === undefined, "is being used by the kernel"],
    [count !== field("CachedCqTail") || field("SqTail") !== count, "has work in flight"],
    [/^PollList:\n\s/m.test(info), "waits for an event (a poll that has not completed)"],
    [/^CqOverflowList:\n\s/m.test(info), "has completions that did not fit into it"],
    [/^NAPI:\s*enabled/m.test(info), "polls network devices (IORING_REGISTER_NAPI)"],
    [field("SqThread") !== -1, "has a polling thread (IORING_SETUP_SQPOLL)"],
    [field("UserFiles") > 0 || field("UserBufs") > 0, "has registered files or buffers"],
    [eventfd === -ERRNO.EBUSY, "has a registered eventfd (IORING_REGISTER_EVENTFD)"],
    [eventfd !== -ERRNO.EBUSY && eventfd !== -ERRNO.EFAULT, "does not tell whether an eventfd is registered with it"],
    [count > MOST_COUNT, "has served more requests than can be counted again"],
  ].find(([refused]) => refused)?.[1];
  if (busy !== undefined) refuseRing(file, `The ring of descriptor ${file.fd} ${busy}`);
  const sqEntries = field("SqMask") + 1;
  const cqEntries = field("CqMask") + 1;
  const model = setupRing(sqEntries, cqEntries);
  call("close", "Closing an io_uring", model.fd);
  const sizes = ringSizes(model.layout, sqEntries, cqEntries);
  using ring = memoryOf(file, IORING_OFF.SQ_RING, sizes.completions);
  refuseRepeating(file, sqEntries);
  return {
    kind: "io-uring",
    sqEntries,
    cqEntries,
    count,
    layout: model.layout,
    memory: ring.bytes.toString("base64"),
    ...readArray(file.local, model.layout.sqArray, sizes.array),
  };
}

/** Throws for a ring that is not at rest, or has what cannot be made again. */
export function refuseRing(
  { pid, command, ...file }: { readonly pid: number; readonly command: string; readonly fd?: number },
  why: string,
): never {
  throw failures.IO_URING.ring({ pid, command, why, fd: file.fd });
}

function memoryOf(file: OpenFile, offset: number, size: number): RingMemory {
  try {
    return new RingMemory(file.local, offset, size);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return refuseRing(
      file,
      `The memory of the ring of descriptor ${file.fd} is not the kernel's (IORING_SETUP_NO_MMAP)`,
    );
  }
}

/** A timeout that repeats completes again and again, so that nothing is missing in the counters. */
function refuseRepeating(file: OpenFile, sqEntries: number): void {
  using entries = memoryOf(file, IORING_OFF.SQES, sqEntries * SQE.SIZE);
  for (let at = 0; at < entries.bytes.length; at += SQE.SIZE) {
    const repeats = (entries.bytes.readUInt32LE(at + SQE.TIMEOUT_FLAGS) & IORING_TIMEOUT_MULTISHOT) !== 0;
    if (entries.bytes[at + SQE.OPCODE] === IORING_OP_TIMEOUT && repeats)
      refuseRing(file, `The ring of descriptor ${file.fd} may have a timeout that repeats (IORING_TIMEOUT_MULTISHOT)`);
  }
}

/** A ring without a submission array has less memory. */
function readArray(fd: LocalFd, start: number, end: number): { array?: string } {
  try {
    using ring = new RingMemory(fd, IORING_OFF.SQ_RING, end);
    const array = ring.bytes.subarray(start, end);
    return array.every((byte) => byte === 0) ? {} : { array: array.toString("base64") };
  } catch (error) {
    if (error instanceof KmonteError) return {};
    throw error;
  }
}

export const ioUring: ObjectKind<IoUringState, ContentsHandle, "io-uring"> = {
  name: "io-uring",
  schema,
  needs: () => [{ option: "CONFIG_IO_URING", what: "io_uring(7)" }],
  thaw(state, context: ThawContext): ContentsHandle {
    const { fd, layout } = setupRing(state.sqEntries, state.cqEntries);
    context.keep(fd);
    if (JSON.stringify(layout) !== JSON.stringify(state.layout)) {
      throw failures.IO_URING_LAYOUT();
    }
    const sizes = ringSizes(layout, state.sqEntries, state.cqEntries);
    using ring = new RingMemory(fd, IORING_OFF.SQ_RING, Math.max(sizes.completions, sizes.array));
    const array = ring.bytes.subarray(layout.sqArray, sizes.array);
    // Without an array of its own the program submits entries in order: the identity says the same.
    for (let i = 0; i < state.sqEntries; i += 1) array.writeUInt32LE(i, i * 4);
    countUp(fd, ring.bytes, state);
    Buffer.from(state.memory, "base64").copy(ring.bytes);
    if (state.array !== undefined) Buffer.from(state.array, "base64").copy(array);
    return { open: () => attempt("dup", fd) as LocalFd };
  },
};

/** The kernel counts entries for itself: no-operations bring its counters to where they were. */
function countUp(fd: LocalFd, ring: Buffer, state: IoUringState): void {
  const { layout, count, sqEntries, cqEntries } = state;
  const step = Math.min(sqEntries, cqEntries);
  for (let done = 0; done < count;) {
    const part = Math.min(step, count - done);
    ring.writeUInt32LE((done + part) & MASK_32, layout.sqTail);
    const taken = call("io_uring_enter", "Counting an io_uring up", fd, part, part, 1);
    if (taken !== part) throw new InconsistentImage(`the ring took ${taken} of ${part} entries`);
    done += part;
    ring.writeUInt32LE(done & MASK_32, layout.cqHead);
  }
}
