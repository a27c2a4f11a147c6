/** A thread that reads chunks of image files and takes their digests, while the tracer's thread copies memory. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { CHUNK_SIZE } from "./digest.ts";
import { DIGEST_SIZE, type ChunkRequest } from "./digest-pool.ts";

const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);

parentPort?.on("message", ({ path, chunk, length, digests, control }: ChunkRequest) => {
  const counts = new Int32Array(control);
  try {
    const fd = openSync(path, "r");
    let got = 0;
    try {
      while (got < length) {
        const more = readSync(fd, buffer, got, length - got, chunk * CHUNK_SIZE + got);
        if (more === 0) break;
        got += more;
      }
    } finally {
      closeSync(fd);
    }
    const digest = createHash("sha256").update(buffer.subarray(0, got)).digest();
    new Uint8Array(digests, chunk * DIGEST_SIZE, DIGEST_SIZE).set(digest);
  } catch {
    // Whoever waits reads the chunk again and meets the same error, with a place to throw it from.
    Atomics.add(counts, 1, 1);
  }
  Atomics.add(counts, 0, 1);
  Atomics.notify(counts, 0);
});
