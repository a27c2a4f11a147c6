/**
 * kmonte as a library: that of $KMONTE_TREE (see run.ts), whose threads start in a quarter of the time, or of the
 * checkout. The types are the same.
 */
import { join } from "node:path";

const TREE = process.env["KMONTE_TREE"];

const library: typeof import("../src/index.ts") = await import(
  TREE === undefined ? "../src/index.ts" : join(TREE, "dist/index.js")
);

export const { check, freeze, KmonteError, readImage, RefusalList, thaw } = library;
