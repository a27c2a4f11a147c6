/** The version of this kmonte, as its package.json says it. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { projectFile } from "./program-files.ts";

const packageSchema = v.object({ version: v.string() });

export function ownVersion(): string {
  return v.parse(packageSchema, JSON.parse(readFileSync(projectFile("package.json"), "utf8"))).version;
}
