/** kmonte as a library: freeze processes to files, thaw them, look into what was frozen. */
export { check, freeze, type FreezeOptions, type FrozenSet } from "./freeze/freeze.ts";
export { thaw, type ThawOptions, type ThawReport } from "./thaw/thaw.ts";
export { readImage, type Image } from "./image/read.ts";
export type { Manifest } from "./image/manifest.ts";
export type { FrozenState, FrozenProcess } from "./image/schema.ts";
export { KmonteError, Refusal, RefusalList } from "./errors/failure.ts";
export type { ProgressEvent, ProgressListener, TimedStep } from "./lib/progress.ts";
