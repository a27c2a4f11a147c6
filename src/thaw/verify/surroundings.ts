/** The surroundings of a thaw: everything that the image needs from this machine, before anything is made. */
import { stateOfKind } from "../../image/kinds.ts";
import { existsSync } from "node:fs";
import { S_IF } from "../../abi/stat.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { stat } from "../../sys/stat.ts";
import { flagsNeeded, unpackXstate } from "../../abi/xstate.x86_64.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { cpuFeatures } from "../../image/manifest.ts";
import type { Image } from "../../image/read.ts";
import type { FrozenBody } from "../../image/schema.ts";
import { fileKinds, objectKinds } from "../../resources/registry.ts";
import { CGROUP_TREE, cgroupTree, isInCgroups } from "../../resources/cgroup/tree.ts";
import { carriedFiles } from "../../resources/volatile/carried-files.ts";
import { isNamedFile, type NamedFileState } from "../../resources/volatile/volatile-file.ts";
import { CARRIED } from "../../resources/volatile/collect.ts";
import { isSame } from "../../resources/volatile/entry.ts";
import { find } from "../../resources/volatile/open-path.ts";
import type { ObjectState } from "../../resources/freeze-context.ts";
import type { ExecutionState } from "../../resources/thread/execution.ts";
import { checkIds } from "./ids.ts";
import { checkReplaced } from "./replaced-files.ts";

/** Throws one {@link RefusalList} with all that stands in the way. */
export function checkSurroundings(image: Image, otherProcessor = false): void {
  const objects = checkObjects(image);
  const problems = [
    ...checkKernel(),
    ...(otherProcessor ? [] : checkCpu(image)),
    ...checkVectors(image),
    ...checkIds(image),
    ...[...checkFiles(image), ...checkOpenFiles(image), ...checkReplaced(image.state)].filter(
      (problem) => !isRemade(problem, image) && !isCarried(problem, image) && !isTold(problem, objects),
    ),
    ...objects,
  ];
  if (problems.length === 0) return;
  if (problems.length === 1) throw problems[0] as Refusal;
  throw failures.CANNOT_THAW.here({ directory: image.directory, refusals: problems });
}

function checkKernel(): Refusal[] {
  const needs = [
    ["/proc/self/timens_offsets", "time namespaces (CONFIG_TIME_NS)"],
    ["/proc/self/map_files", "map_files (CONFIG_CHECKPOINT_RESTORE)"],
  ] as const;
  return needs.filter(([path]) => !existsSync(path)).map(([path, what]) => failures.KERNEL_FEATURE({ what, path }));
}

/** Features that programs have no use for, or notice nothing of. */
const KERNELS_OWN = new Set(["xsaves", "xsaveerptr"]);

function checkCpu(image: Image): Refusal[] {
  const here = new Set(cpuFeatures());
  const vector = image.manifest.machine.cpuFeatures.filter((feature) =>
    /^(avx|sse|ssse|xsave|fma|bmi|pku|amx)/.test(feature),
  );
  const missing = vector.filter((feature) => !here.has(feature) && !KERNELS_OWN.has(feature));
  if (missing.length === 0) return [];
  return [failures.CPU_FEATURE.missing({ missing: missing.join(", ") })];
}

type ThreadBase = FrozenBody["threads"][number];

/** Registers that are in use must have their place here, whatever the programs could do without. */
function checkVectors(image: Image): Refusal[] {
  const here = new Set(cpuFeatures());
  for (const { pid, command, body } of image.state.processes) {
    for (const { tid, execution } of (body?.threads ?? []) as (ThreadBase & { execution: ExecutionState })[]) {
      const missing = flagsNeeded(unpackXstate(execution)).filter((flag) => !here.has(flag));
      if (missing.length === 0) continue;
      const refusal = failures.CPU_FEATURE.inUse({ pid, command, missing: missing.join(", "), tid });
      // One that cannot is enough to say.
      return [refusal];
    }
  }
  return [];
}

/** Files that are mapped must be the very same; files that are only open must exist. */
function checkFiles(image: Image): Refusal[] {
  const { state } = image;
  const mapped = new Set(
    state.processes.flatMap(
      (process) =>
        process.body?.mappings.flatMap(({ backing, shared }) => (backing && !shared ? [backing.object] : [])) ?? [],
    ),
  );
  const problems: Refusal[] = [];
  for (const [id, object] of Object.entries(state.objects)) {
    // What stands in a mount namespace of the set's own cannot be seen before that is made.
    if (!isNamedFile(object) || state.mountNamespaceOf?.[id] !== undefined) continue;
    const problem = checkFile(object, mapped.has(id) && !isOther(object, state.objects[CARRIED]));
    if (problem) problems.push(problem);
  }
  return problems;
}

/** Whether a file that travels with its name is another one here, which has been compared already. */
function isOther({ path }: NamedFileState, carried: ObjectState | undefined): boolean {
  const { entries = [] } = stateOfKind(carriedFiles, carried) ?? {};
  const entry = entries.find((one) => one.path === path);
  using found = entry && orIfGone(() => find(path), undefined);
  return entry !== undefined && found !== undefined && !isSame(entry, found);
}

/** What each kind of open file says of itself; many files may miss the same. */
function checkOpenFiles(image: Image): Refusal[] {
  const problems = new Map<string, Refusal>();
  for (const { kind: name, state, net, mnt } of Object.values(image.state.files)) {
    const kind = fileKinds.find((one) => one.name === name);
    // What is in a namespace of the set's own cannot be seen before that is made.
    if ((net !== undefined || mnt !== undefined) && kind?.ofMachine?.(state) !== true) continue;
    const problem = kind?.check?.(state);
    if (problem) problems.set(problem.message, problem);
  }
  return [...problems.values()];
}

/** Files of control groups that are made with the set. */
function isRemade({ facts }: Refusal, { state }: Image): boolean {
  const tree = stateOfKind(cgroupTree, state.objects[CGROUP_TREE]);
  return facts.path !== undefined && tree !== undefined && isInCgroups(facts.path, tree);
}

/** What comes along with its name; what stands in its way is told by the object that makes it. */
function isCarried({ code, facts }: Refusal, { state }: Image): boolean {
  const carried = stateOfKind(carriedFiles, state.objects[CARRIED]);
  return /^(FILE|DEVICE)_MISSING$/.test(code) && carried?.entries.some(({ path }) => path === facts.path) === true;
}

/** What stands in the place of something that comes along is told once, with all that would lie in it. */
function isTold({ code, facts: { path } }: Refusal, others: readonly Refusal[]): boolean {
  if (code !== "FILE_REPLACED" || path === undefined) return false;
  const taken = others.flatMap((other) => (other.code === "CARRIED_TAKEN" ? (other.facts.path ?? []) : []));
  return taken.some((place) => path === place || path.startsWith(`${place}/`));
}

/** What each kind of shared object says of itself. */
function checkObjects(image: Image): Refusal[] {
  return Object.values(image.state.objects).flatMap((object) => {
    const kind = objectKinds.find(({ name }) => name === object.kind);
    return kind?.check?.(object, { openBlob: (name) => image.files.open(name) }) ?? [];
  });
}

function checkFile(file: NamedFileState, mapped: boolean): Refusal | undefined {
  const { path } = file;
  let now: ReturnType<typeof stat>;
  try {
    now = stat(OWN_VIEW.at(path));
  } catch (cause) {
    return failures.FILE_MISSING.file({ path, errno: (cause as NodeJS.ErrnoException).code });
  }
  // A device's size and times say nothing of what it shows.
  if (!mapped || now.type !== S_IF.S_IFREG) return undefined;
  if (now.size !== file.size) return failures.FILE_CHANGED.size({ path, size: now.size, was: file.size });
  if (String(now.mtimeNs) !== file.mtimeNs) return failures.FILE_CHANGED.afterFreeze({ path });
  return undefined;
}
