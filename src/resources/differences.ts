/** What is not as it was after a thaw: what each kind of resource says of itself, and what is of no kind. */
import type { Difference } from "./conditions.ts";
import { fileKinds, objectKinds, processResources, threadResources } from "./registry.ts";

/** Of every program, or of what no state tells. */
const OF_NO_KIND = [
  "which thread of a process made a child, which only __WNOTHREAD of waitpid(2) asks for: it is the first one's. A death signal that depends on it is refused (PARENT_THREAD)",
  "the rules of a Landlock domain, which are told to nobody once they are in force (landlock(7))",
  "the time at which a process or thread started (field 22 of /proc/PID/stat, ps -o lstart), which is that of the thaw: whoever knows processes by id and start time (ProcessHandle of Java, psutil, runc) takes them for others",
  "CPU time used so far (getrusage(2), CLOCK_PROCESS_CPUTIME_ID), which begins anew",
];

/** Each once, in the order of the registry. */
export function allDifferences(): string[] {
  const kinds = [...processResources, ...threadResources, ...fileKinds, ...objectKinds];
  const ofKinds = kinds.flatMap(({ differs = [] }: { readonly differs?: readonly Difference<never>[] }) => differs);
  return [...new Set([...ofKinds.map(({ what }) => what), ...OF_NO_KIND])];
}
