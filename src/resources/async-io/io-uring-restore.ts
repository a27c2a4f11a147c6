/** The memory of an io_uring: the kernel refuses to put it at an address that the program chooses (io_uring_setup(2)). */
import { closeSync } from "node:fs";
import { O } from "../../abi/fcntl.ts";
import { MAP, protBits } from "../../abi/mman.ts";
import { hex, unhex } from "../../lib/hex.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ContentsHandle } from "../file/contents.ts";
import { RING_PREFIX } from "./io-uring.ts";
import type { MappingState } from "../memory/mappings.ts";
import { mapIntoOnlyGap } from "../memory/only-free-range.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

export function isRing(mapping: MappingState): boolean {
  return mapping.backing?.object.startsWith(RING_PREFIX) === true;
}

export function placeRing(process: ThawProcess, { start, end, prot, backing }: MappingState): void {
  if (!backing) return;
  const at = unhex(start);
  const length = unhex(end) - at;
  const local = process.context.object<ContentsHandle>(backing.object).open(O.O_RDWR);
  try {
    process.lend(local, (fd) => {
      const about = `Mapping an io_uring at ${start}`;
      const got = mapIntoOnlyGap(process.scope, at, length, () =>
        process.scope.call(
          "mmap",
          about,
          0,
          length,
          protBits(prot),
          MAP.MAP_SHARED | MAP.MAP_POPULATE,
          fd,
          backing.offset,
        ),
      );
      if (got !== at) throw new InconsistentImage(`the kernel put the ring at ${hex(got)} instead of ${start}`);
    });
  } finally {
    closeSync(local);
  }
}
