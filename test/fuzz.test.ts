/**
 * The readers of what others may have written, with damaged input, the same each time: a short run of what
 * scripts/fuzz.ts does for hours. And damage to the state of an image that is signed all the same.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { KmonteError, thaw } from "./kmonte-library.ts";
import type { Manifest } from "../src/image/manifest.ts";
import { signManifest } from "../src/image/trust/trust.ts";
import { mutateValue, random } from "./fuzz/mutate.ts";
import { readers } from "./fuzz/readers.ts";
import { makeSamples } from "./fuzz/samples.ts";
import { Program, until } from "./harness.ts";

const TURNS = 1000;
const SLOWEST_MS = 3000;
const IMAGES = 5;

test("no reader fails in a way that nobody expects, takes long, or takes much memory", async () => {
  const resident = process.memoryUsage().rss;
  for (const { name, turn, cost } of readers(await makeSamples())) {
    for (let seed = 1; seed <= TURNS / cost; seed += 1) {
      const start = performance.now();
      assert.doesNotThrow(() => turn(random(seed)), `${name}, seed ${seed}`);
      assert.ok(performance.now() - start < SLOWEST_MS, `${name}, seed ${seed}`);
    }
  }
  assert.ok(process.memoryUsage().rss - resident < 1024 ** 3);
});

test("a signed state that makes no sense is refused or thawed, and never leaves half a process", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const state = JSON.parse(readFileSync(join(image, "state.json"), "utf8")) as unknown;
  const folder = mkdtempSync(join(tmpdir(), "kmonte-fuzz-"));
  try {
    for (let seed = 1; seed <= IMAGES; seed += 1) {
      const copy = join(folder, String(seed));
      cpSync(image, copy, { recursive: true });
      signAgain(copy, mutateValue(state, random(seed)));
      try {
        const { processes } = await thaw({ directory: copy });
        for (const { pid } of processes) if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
      } catch (error) {
        assert.ok(error instanceof KmonteError, `seed ${seed}: ${(error as Error).stack}`);
      }
      await until(() => !existsSync(`/proc/${program.pid}`), `the end of what seed ${seed} made`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Puts another state into an image, and signs it as if it had been frozen so. */
function signAgain(image: string, state: unknown): void {
  const bytes = Buffer.from(JSON.stringify(state));
  writeFileSync(join(image, "state.json"), bytes);
  const path = join(image, "manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  const files = manifest.files.map((file) =>
    file.name === "state.json"
      ? { ...file, size: bytes.length, sha256: [createHash("sha256").update(bytes).digest("hex")] }
      : file,
  );
  const text = Buffer.from(JSON.stringify({ ...manifest, files }));
  writeFileSync(path, text);
  writeFileSync(`${path}.minisig`, signManifest(text));
}
