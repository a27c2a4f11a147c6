import { resolve } from "node:path";

/** kmonte's own command, as it was started: the same place relative to the sources and to the compiled files. */
export const OWN_COMMAND = resolve(import.meta.dirname, "../../bin/kmonte");
