/**
 * The ring of a context of asynchronous I/O (io_setup(2), fs/aio.c of the kernel): its address is the context's name.
 * Operations that have not completed are shown nowhere; those on files complete within milliseconds.
 */
import { AIO_RING, IO_EVENT_SIZE, AIO_RING_MAGIC } from "../../abi/aio.ts";
import * as v from "valibot";
import { remoteAddress } from "../../lib/brand.ts";
import { hex } from "../../lib/hex.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Mapping } from "../../proc/maps.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";

const schema = v.strictObject({
  kind: v.literal("aio"),
  /** Places in the ring, the next one to be taken, and the next one to be filled. */
  size: v.number(),
  head: v.number(),
  tail: v.number(),
  /** All places, taken ones as well: struct io_event, base64. */
  events: v.pipe(v.string(), v.base64()),
});
export type AioState = v.InferOutput<typeof schema>;

/** Ids of contexts begin with it. */
export const AIO_PREFIX = "aio:";

export function isAioRing({ path }: Mapping): boolean {
  return path.startsWith("/[aio]");
}

/** Notes the context of a mapping; returns the id of the object. */
export function aioObject(process: FreezeProcess, { start, end }: Mapping): string {
  return process.context.object(`${AIO_PREFIX}${process.pid}:${hex(start)}`, () => {
    settle(process, start);
    const ring = process.scope.memory.read(remoteAddress(start), end - start);
    const size = ring.readUInt32LE(AIO_RING.NR);
    if (ring.readUInt32LE(AIO_RING.MAGIC) !== AIO_RING_MAGIC || AIO_RING.SIZE + size * IO_EVENT_SIZE > ring.length) {
      throw failures.AIO({ process, address: hex(start) });
    }
    return {
      kind: "aio",
      size,
      head: ring.readUInt32LE(AIO_RING.HEAD),
      tail: ring.readUInt32LE(AIO_RING.TAIL),
      events: ring.subarray(AIO_RING.SIZE, AIO_RING.SIZE + size * IO_EVENT_SIZE).toString("base64"),
    };
  });
}

/** How long nothing must complete for operations on files to be taken as done, and how long that is waited for. */
const QUIET_MS = 10;
const PATIENCE_MS = 2000;

/** What still completes writes into memory that is going to be kept. */
function settle({ scope }: FreezeProcess, ring: number): void {
  const deadline = Date.now() + PATIENCE_MS;
  const tail = (): number => scope.memory.read(remoteAddress(ring + AIO_RING.TAIL), 4).readUInt32LE(0);
  for (let before = tail(), since = Date.now(); Date.now() - since < QUIET_MS && Date.now() < deadline;) {
    sleepMicroseconds(1000);
    const now = tail();
    if (now !== before) since = Date.now();
    before = now;
  }
}

export const aio: ObjectKind<AioState, AioState, "aio"> = {
  name: "aio",
  schema,
  thaw: (state) => state,
};
