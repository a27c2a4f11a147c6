/** The program that `kmonte serve` starts for each connection. */
import { answer } from "./request.ts";

// The groups of whoever started the service are nobody's here.
process.setgroups?.([]);
await answer();
