/** eventfd(2): a counter. */
import { writeSync } from "node:fs";
import * as v from "valibot";
import { call } from "../../sys/call.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { fdInfoValue } from "../../proc/fdinfo.ts";
import type { FileKind } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  /** The counter, in decimal: 64 bits. */
  count: v.pipe(v.string(), v.regex(/^\d+$/)),
  semaphore: v.boolean(),
});

const EFD_SEMAPHORE = 1;

export const eventFd: FileKind<v.InferOutput<typeof schema>, "eventfd"> = {
  name: "eventfd",
  schema,
  forUser: ofAnyUser,
  needs: () => [{ option: "CONFIG_EVENTFD", what: "eventfd(2)" }],
  recognise: (file) => file.link === "anon_inode:[eventfd]",
  freeze(file) {
    // Kernels before 6.5 do not show the flag; whether reading takes one or all is then found out by name only.
    return {
      count: BigInt(`0x${fdInfoValue(file.info, "eventfd-count")?.trim() ?? "0"}`).toString(),
      semaphore: fdInfoValue(file.info, "eventfd-semaphore") === "1",
    };
  },
  thaw(state, context) {
    const fd = call("eventfd2", "Making an eventfd", 0, state.semaphore ? EFD_SEMAPHORE : 0) as LocalFd;
    context.keep(fd);
    writeCounter(fd, BigInt(state.count));
    return fd;
  },
};

function writeCounter(fd: LocalFd, count: bigint): void {
  if (count === 0n) return;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(count);
  writeSync(fd, bytes);
}
