/** What a kernel must have for what was found to be thawed on it: each kind of resource says so of its state. */
import { readFileSync } from "node:fs";
import type { FrozenState } from "../../image/schema.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";
import type { KernelNeed } from "../../resources/conditions.ts";
import { fileSystemNeeds } from "../../resources/mount/kernel-needs.ts";
import { fileKinds, objectKinds, processResources, threadResources } from "../../resources/registry.ts";
import { isNamedFile } from "../../resources/volatile/volatile-file.ts";

export interface HeldNeed extends KernelNeed {
  /** The first process that has such a thing. */
  readonly pid?: number;
  readonly command?: string;
}

interface NeedyKind {
  readonly name: string;
  needs?(state: unknown): readonly KernelNeed[];
}

/** Whatever a process holds. */
export const BASIC_NEEDS: readonly KernelNeed[] = [
  { option: "CONFIG_CHECKPOINT_RESTORE", what: "ids and the layout of memory" },
  { option: "CONFIG_TIME_NS", what: "clocks that go on where they stopped, time_namespaces(7)" },
  { option: "CONFIG_PROC_PAGE_MONITOR", what: "telling which pages of memory are in use" },
];

/** Each need once, with the first process that has it. */
export function needsOf(state: FrozenState): HeldNeed[] {
  const found = new Map<string, HeldNeed>(BASIC_NEEDS.map((need) => [need.option, need]));
  const add = (kinds: readonly NeedyKind[], name: string, value: unknown, holder: Holder | undefined): void => {
    for (const need of kinds.find((kind) => kind.name === name)?.needs?.(value) ?? []) {
      if (!found.has(need.option)) found.set(need.option, { ...need, ...holder });
    }
  };
  const holders = new Map<string, Holder>();
  for (const { pid, command, pidNamespace: inside, body } of state.processes) {
    const holder = { pid, command };
    if (inside && !found.has(PID_NS.option)) found.set(PID_NS.option, { ...PID_NS, ...holder });
    for (const { file } of body?.descriptors ?? []) if (!holders.has(file)) holders.set(file, holder);
    for (const [name, value] of Object.entries(body?.resources ?? {})) add(processResources, name, value, holder);
    for (const thread of body?.threads ?? [])
      for (const [name, value] of Object.entries(thread)) add(threadResources, name, value, holder);
  }
  for (const [id, file] of Object.entries(state.files)) add(fileKinds, file.kind, file.state, holders.get(id));
  for (const object of Object.values(state.objects)) add(objectKinds, object.kind, object, undefined);
  for (const need of pathNeeds(state)) if (!found.has(need.option)) found.set(need.option, need);
  return [...found.values()];
}

/** The needs of several sets: each once, as {@link needsOf} has those of one. */
export function eachOnce(needs: readonly HeldNeed[]): HeldNeed[] {
  const found = new Map<string, HeldNeed>();
  for (const need of needs) if (!found.has(need.option)) found.set(need.option, need);
  return [...found.values()];
}

interface Holder {
  readonly pid: number;
  readonly command: string;
}

const PID_NS: KernelNeed = { option: "CONFIG_PID_NS", what: "pid_namespaces(7)" };

/** The file systems of files that stay where they are; those of mount namespaces of the set's own say it themselves. */
function pathNeeds(state: FrozenState): KernelNeed[] {
  const mounts = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
  const types = new Set<string>();
  for (const [id, object] of Object.entries(state.objects)) {
    if (!isNamedFile(object) || state.mountNamespaceOf?.[id] !== undefined) continue;
    const { path } = object;
    const type = mounts
      .filter(({ mountPoint }) => mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`))
      .reduce((best, mount) => (mount.mountPoint.length >= best.mountPoint.length ? mount : best), NO_MOUNT).type;
    types.add(type);
  }
  return [...types].flatMap(fileSystemNeeds);
}

const NO_MOUNT = { mountPoint: "", type: "" };
