/** What a manifest and a state look like: those of a program that was frozen just now, and ended. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Program } from "../harness.ts";
import type { Samples } from "./readers.ts";

export async function makeSamples(): Promise<Samples> {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const read = (name: string): unknown => JSON.parse(readFileSync(join(image, name), "utf8"));
  return { manifest: read("manifest.json"), state: read("state.json") };
}
