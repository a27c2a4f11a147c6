/** Making all processes of the set, blank, with their ids, parents, sessions and process groups (credentials(7)). */
import { livingThread, procPath } from "../../sys/task.ts";
import { readFileSync } from "node:fs";
import { asOurselves } from "../../sys/identity.ts";
import { IOPRIO_WHO_PROCESS } from "../../abi/priority.ts";
import { MAP, MREMAP, PAGE_SIZE, PROT } from "../../abi/mman.ts";
import { remoteAddress } from "../../lib/brand.ts";
import { unhex } from "../../lib/hex.ts";
import type { FrozenProcess, FrozenState } from "../../image/schema.ts";
import { parseMaps } from "../../proc/maps.ts";
import { parseStatus } from "../../proc/status.ts";
import { setForeground } from "../../resources/tty/controlling-terminal.ts";
import { moveVdso, vdsoSize, type ParkedVdso } from "../../resources/memory/vdso.x86_64.ts";
import { spawnBlank, CALL_AREA_SIZE, callAreaAt, type CallArea } from "../../tracee/blank.x86_64.ts";
import { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { TraceeMemory } from "../../tracee/memory.ts";
import { createAll } from "./create-processes.ts";
import type { PidNamespaces } from "./pid-namespaces.ts";
import type { CowSharing } from "../fill/cow-sharing.ts";
import { setGroups } from "./process-groups.ts";
import { endProcess, withTemporaryProcess } from "./clone-process.ts";
import { TreeBuilder } from "./tree-builder.ts";
import type { Thawing } from "../context.ts";
import { FdChannel } from "../fill/fd-channel.ts";
import type { BuiltProcess } from "../fill/process.ts";
import { idsOfSet } from "./helper-ids.ts";
import { findFreeSpace, type Range } from "../fill/address-space.ts";
import { TimeNamespaces } from "./time-namespaces.ts";
import { ThawedUserNamespaces } from "./user-namespaces.ts";
import { Defect } from "../../errors/wrong-input.ts";

/** Room for any kernel's vDSO with its data pages. */
const VDSO_ROOM = 256 * 1024;

const CPU_SET_BYTES = 128;

/** The forest under construction. */
export interface Tree {
  readonly processes: readonly BuiltProcess[];
  readonly zombies: readonly BuiltProcess[];
  readonly vdso: ParkedVdso;
  /** The blank process that the roots are children of. */
  readonly root: number;
  /** Things that a person should know, though they stopped nothing. */
  readonly notes: readonly string[];
  readonly pidNamespaces: PidNamespaces;
  readonly userNamespaces: ThawedUserNamespaces;
  readonly cowSharing: CowSharing;
}

/** Makes the processes; parents come before children in `states`. */
export function growTree(context: Thawing, state: FrozenState): Tree {
  const states = state.processes;
  const taken = states.flatMap(occupied);
  const callArea = callAreaAt(findFreeSpace(taken, CALL_AREA_SIZE));
  const parking = findFreeSpace([...taken, callArea], VDSO_ROOM);
  const root = startRoot(context, callArea, idsOfSet(states));
  const vdso = clearRoot(root, parking);
  const channel = FdChannel.open(context, root, context.hasUserNamespaces);
  const builder = new TreeBuilder({ context, callArea, channel, root }, state);
  context.userNamespaces = builder.userNamespaces;
  context.withTemporaryProcess = (relative, id, use) =>
    withTemporaryProcess(builder, states.find(({ pid }) => pid === relative)?.pidNamespace, id, use);
  const timeNamespaces = new TimeNamespaces(context, state, root);
  const standIns = createAll(builder, states, timeNamespaces);
  timeNamespaces.end();
  setGroups(builder, states);
  for (const standIn of standIns) standIn.end();
  for (const process of builder.built.values()) {
    const { controllingTerminal: terminal } = process.state;
    if (terminal) context.openFor(process.pid, () => setForeground(process, terminal));
  }
  const all = [...builder.built.values()];
  return {
    processes: all.filter((process) => process.state.body),
    zombies: all.filter((process) => !process.state.body),
    vdso,
    root: root.pid,
    notes: builder.notes,
    pidNamespaces: builder.pidNamespaces,
    userNamespaces: builder.userNamespaces,
    cowSharing: builder.cowSharing,
  };
}

function occupied(state: FrozenProcess): Range[] {
  const parts = [...(state.body?.mappings ?? []), ...(state.body?.vdso.parts ?? [])];
  return parts.map((part) => ({
    start: unhex(part.start),
    end: unhex(part.end),
    growsDown: "growsDown" in part && part.growsDown === true,
  }));
}

/** The first blank process: parent of the roots until the end, when init takes them over. */
function startRoot(context: Thawing, callArea: CallArea, taken: ReadonlySet<number>): BuildScope {
  const wrong: number[] = [];
  const spawn = (): number => asOurselves(() => spawnBlank(callArea.start));
  let pid = spawn();
  // The kernel gives it an id that is free, and that may be one of the set's.
  for (; taken.has(pid); pid = spawn()) wrong.push(pid);
  for (const id of wrong) endProcess(id);
  context.undo("blank process", () => endProcess(pid));
  return new BuildScope(pid, pid, new TraceeMemory(livingThread(pid)), callArea);
}

/** Takes away what exec left behind: stack, descriptors, ignored signals, the alarm. Parks the vDSO. */
function clearRoot(root: BuildScope, parking: number): ParkedVdso {
  const mappings = parseMaps(readFileSync(procPath(livingThread(root.pid), "maps"), "utf8"));
  const parts = mappings
    .filter((mapping) => ["[vvar]", "[vvar_vclock]", "[vdso]"].includes(mapping.path))
    .map(({ path, start, end }) => ({ name: path, start, end }));
  for (const mapping of mappings) {
    if (mapping.start >= root.callArea.start && mapping.end <= root.callArea.end) continue;
    if (parts.some((part) => part.start === mapping.start) || mapping.path === "[vsyscall]") continue;
    root.call("munmap", "Clearing a blank process", mapping.start, mapping.end - mapping.start);
  }
  detachCode(root, parking);
  root.call("close_range", "Clearing a blank process", 0, 0xffff_ffff, 0);
  root.call("alarm", "Clearing a blank process", 0);
  root.call("personality", "Clearing a blank process", 0);
  root.attempt("ioprio_set", IOPRIO_WHO_PROCESS, 0, 0);
  // As far as the control group allows.
  root.attempt("sched_setaffinity", 0, CPU_SET_BYTES, root.put(Buffer.alloc(CPU_SET_BYTES, 0xff)));
  // What is done with a user's effective ids later is not to be helped by groups of ours.
  root.call("setgroups", "Clearing a blank process", 0, 0);
  const ignored = BigInt(`0x${parseStatus(readFileSync(`/proc/${root.pid}/status`, "utf8")).get("SigIgn") ?? "0"}`);
  for (let signal = 1; signal <= 64; signal += 1) {
    if ((ignored & (1n << BigInt(signal - 1))) === 0n) continue;
    root.call("rt_sigaction", "Clearing a blank process", signal, root.put(Buffer.alloc(32)), 0, 8);
  }
  if (parts.length === 0) return { parts };
  const parked = moveVdso(root, { parts }, parking);
  if (vdsoSize(parked) > VDSO_ROOM) throw new Defect("the vDSO is larger than ever");
  return parked;
}

/**
 * Puts memory of its own under the call area's code, at the same address and with the same bytes: while a page of the
 * program file is mapped, the kernel would not let /proc/PID/exe become another file.
 */
function detachCode(root: BuildScope, spare: number): void {
  const { start } = root.callArea;
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS | MAP.MAP_FIXED_NOREPLACE;
  const about = "Preparing a blank process";
  root.call("mmap", about, spare, PAGE_SIZE, PROT.PROT_READ | PROT.PROT_EXEC, flags, -1, 0);
  root.memory.write(remoteAddress(spare), root.memory.read(start, PAGE_SIZE));
  root.call("mremap", about, spare, PAGE_SIZE, PAGE_SIZE, MREMAP.MREMAP_MAYMOVE | MREMAP.MREMAP_FIXED, start);
}
