/**
 * Removing what an image holds once its processes are known to run: memory has secrets, and a copy that nobody needs is
 * one too many. The mark stays, so that the directory goes on saying what became of it.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { orIfGone } from "../../lib/no-such-file.ts";
import { syncDirectory } from "../../lib/sync-directory.ts";
import { MANIFEST, manifestSchema, type Manifest } from "../manifest.ts";
import { markRemoved } from "./mark.ts";
import { SIGNATURE } from "../trust/trust.ts";
import { convertDocument } from "../convert/steps.ts";

/** Removes the image in a directory that is ours alone; none is as good as one that has been removed. */
export function removeImage(directory: string): void {
  const text = orIfGone(() => readFileSync(join(directory, MANIFEST), "utf8"), undefined);
  if (text !== undefined)
    removeContents(directory, v.parse(manifestSchema, convertDocument("manifest", JSON.parse(text))));
}

/**
 * Removes every file that the manifest names, and the manifest last: after a power cut in the middle the rest can still
 * be removed. What somebody else has put beside them stays.
 */
export function removeContents(directory: string, { files }: Manifest): void {
  markRemoved(directory);
  for (const { name } of files) rmSync(join(directory, name), { force: true });
  syncDirectory(directory);
  for (const name of [SIGNATURE, MANIFEST]) rmSync(join(directory, name), { force: true });
  syncDirectory(directory);
}
