/** A thread that copies memory into chunks of image files and takes their digests, while others wait or do other work. */
import { OWN_VIEW } from "../sys/mount-view.ts";
import { closeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { O } from "../abi/fcntl.ts";
import { openPath } from "../resources/file/path-file.ts";
import { ChunkCopier } from "./chunks/copy.ts";
import { CHUNK, CONTROL, DIGEST_SIZE, type ChunkRequest } from "./chunks/pool.ts";

const copier = new ChunkCopier();

/** The digest, or undefined when the one that is known still holds. */
function serve({ path, chunk, length, source }: ChunkRequest, known: boolean, written: () => void): Buffer | undefined {
  const fd = openPath(OWN_VIEW.at(path), source ? O.O_RDWR : 0);
  try {
    if (!source) return copier.digest(fd, chunk, length);
    const digest = copier.copy(fd, chunk, length, source, known);
    if (digest) written();
    return digest;
  } finally {
    closeSync(fd);
  }
}

parentPort?.on("message", (request: ChunkRequest) => {
  const { chunk } = request;
  const counts = new Int32Array(request.control);
  const states = new Uint8Array(request.states);
  try {
    const digest = serve(request, states[chunk] === CHUNK.KNOWN, () => Atomics.add(counts, CONTROL.CHANGED, 1));
    if (digest) new Uint8Array(request.digests, chunk * DIGEST_SIZE, DIGEST_SIZE).set(digest);
    states[chunk] = CHUNK.KNOWN;
  } catch {
    // Whoever waits does it again and meets the same error, with a place to throw it from.
    states[chunk] = CHUNK.FAILED;
  }
  Atomics.add(counts, CONTROL.DONE, 1);
  Atomics.notify(counts, CONTROL.DONE);
});
