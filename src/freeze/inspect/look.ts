/** Looking at everything that a stopped set holds, without changing anything; what cannot be frozen is listed. */
import { readFileSync } from "../../sys/files.ts";
import { livingThread, procPath } from "../../sys/task.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import type { Share } from "../../image/clone-plan.ts";
import type { Task } from "../../lib/brand.ts";
import type { FrozenBody, FrozenProcess, FrozenState } from "../../image/schema.ts";
import { FORMAT_VERSION } from "../../image/version.ts";
import { parseMaps } from "../../proc/maps.ts";
import { isWithoutFile } from "../../proc/outside.ts";
import { parseStat, parseStatus } from "../../proc/status.ts";
import type { FreezeProcess, FreezeThread } from "../../resources/freeze-context.ts";
import type { Answers } from "../../resources/contract.ts";
import { carryingOf } from "../../resources/volatile/collect.ts";
import { carryCredentials, carryNamed } from "../../resources/volatile/named.ts";
import { noteCommonPages } from "../../resources/memory/cow-pages.ts";
import { freezeMappings } from "../../resources/memory/mappings.ts";
import { freezeVdso } from "../../resources/memory/vdso.x86_64.ts";
import { RING_PREFIX } from "../../resources/async-io/io-uring.ts";
import { freezeControllingTerminal } from "../../resources/tty/controlling-terminal.ts";
import { freezeUnshared, hasOwnDirectory, type Unshared } from "../../resources/thread/unshared.ts";
import { freezeEndedLeader, type EndedLeader } from "../../resources/thread/ended-leader.ts";
import { processResources, threadResources } from "../../resources/registry.ts";
import { findGadget } from "../../tracee/syscall-gadget.x86_64.ts";
import { CallPage } from "../../tracee/call-page.x86_64.ts";
import { GuardedScope } from "../../tracee/guarded-scope.x86_64.ts";
import { askAll, askThreads, NO_ANSWERS } from "./ask.ts";
import { TraceeMemory } from "../../tracee/memory.ts";
import { SetClocks } from "./clocks.ts";
import type { Collected, Freezing } from "./context.ts";
import { childrenNamespace, idsBelow, pidNamespaceOf, refuseHeadless } from "./ids.ts";
import { refuseParentThread } from "./parent-thread.ts";
import { refuseSharedFiles, refuseSharedMemory } from "./shared-outside.ts";
import { findShares, refuseUnplannable } from "./shares.ts";
import type { StoppedProcess, StoppedSet } from "../stop/stopped-set.ts";
import { cannotInject } from "./no-injection.ts";
import { findUnwaited, type Unwaited } from "./wait-status.ts";

/** What looking has found: the state, and what else goes into the image. */
export interface Findings extends Omit<Collected, "objects" | "mountNamespaceOf"> {
  readonly state: FrozenState;
}

/** One look at a set that stands still. */
export class Look {
  readonly #context: Freezing;
  readonly #set: StoppedSet;
  readonly #unwaited = new Map<number, Unwaited>();
  #shares: ReturnType<typeof findShares> = new Map();
  #times: SetClocks | undefined;

  readonly #carry: readonly string[];

  /** What it finds stands in `context` afterwards. `carry` are paths that travel with the set. */
  constructor(context: Freezing, set: StoppedSet, carry: readonly string[] = []) {
    this.#context = context;
    this.#set = set;
    this.#carry = carry;
  }

  run(): Findings {
    this.#context.startClocks();
    const times = new SetClocks(this.#set);
    const { clocks } = times;
    this.#times = times;
    const ordered = inTreeOrder(this.#set);
    this.#shares = findShares(ordered.filter(({ zombie }) => !zombie));
    const processes = ordered.map((process) => this.#freezeProcess(process));
    noteCommonPages(
      this.#context.tasks,
      processes.flatMap(({ pid, body }) => (body ? [{ pid, mappings: body.mappings }] : [])),
    );
    refuseHeadless(processes, (refusal) => this.#context.refuse(refusal));
    refuseUnplannable(processes, (refusal) => this.#context.refuse(refusal));
    refuseParentThread(processes, (refusal) => this.#context.refuse(refusal));
    const files = this.#context.files.freezeFiles();
    this.#orRefuse(() => carryCredentials(this.#context));
    for (const path of this.#carry) this.#orRefuse(() => carryNamed(this.#context, path));
    refuseSharedFiles(this.#context);
    this.#orRefuse(() => carryingOf(this.#context).complete());
    for (const process of processes) this.#noteTerminal(process);
    for (const process of processes) this.#refuseOrphanMappings(process);
    const { objects, mountNamespaceOf, ...found } = this.#context.collected;
    const state = {
      format: FORMAT_VERSION,
      clocks,
      processes,
      files,
      objects,
      ...(Object.keys(mountNamespaceOf).length > 0 && { mountNamespaceOf }),
    };
    return { state: state as FrozenState, ...found };
  }

  /** Adds to what was found what is read only for an image that is going to be written. */
  readForImage(): void {
    carryingOf(this.#context).readSmallFiles();
  }

  #freezeProcess(stopped: StoppedProcess): FrozenProcess {
    const stat = parseStat(readFileSync(`/proc/${stopped.pid}/stat`, "utf8"));
    const groupStop = stopped.threads.find((thread) => thread.groupStop !== undefined)?.groupStop;
    const pidNamespace = pidNamespaceOf(stopped, this.#context);
    const shares = this.#shares.get(stopped.pid);
    const forChildren = stopped.zombie ? undefined : childrenNamespace(stopped.task);
    const base = {
      pid: stopped.pid,
      ppid: stat.ppid,
      pgid: stat.pgrp,
      sid: stat.session,
      command: stat.comm,
      exitSignal: stat.exitSignal,
      ...(pidNamespace && { pidNamespace }),
      ...(shares && { shares }),
      ...(forChildren !== undefined && { pidNamespaceForChildren: forChildren }),
      ...(groupStop !== undefined && { stopped: groupStop }),
    };
    if (stopped.zombie) return { ...base, zombie: { status: stat.exitCode, uid: zombieUser(stopped.pid) } };
    const time = this.#times?.refusalFor(stopped);
    if (time) this.#context.refuse(time);
    const unable = cannotInject(stopped);
    if (unable) this.#context.refuse(unable);
    if (unable) return base;
    const waitable = this.#unwaited.get(stopped.pid);
    return {
      ...base,
      ...this.#times?.of(stopped.task),
      ...(waitable && { waitable }),
      body: this.#freezeBody(stopped, stat),
    };
  }

  #freezeBody(stopped: StoppedProcess, stat: ReturnType<typeof parseStat>): FrozenBody {
    const { pid, task } = stopped;
    using memory = new TraceeMemory(task);
    const mappings = parseMaps(readFileSync(procPath(task, "smaps"), "utf8"));
    const gadget = findGadget(task, memory, mappings);
    const status = parseStatus(readFileSync(`/proc/${task}/status`, "utf8"));
    const borrowed = (share: Share): boolean => (this.#shares.get(pid)?.[share] ?? pid) !== pid;
    const descriptors = this.#context.files.addProcess(pid, task, stat.comm);
    let resources: Record<string, unknown> = {};
    let endedLeader: EndedLeader | undefined;
    let frozenMappings: FrozenBody["mappings"] = [];
    let vdso: FrozenBody["vdso"] = { parts: [], code: "" };
    const caught = BigInt(`0x${status.get("SigCgt") ?? "0"}`);
    const page = new CallPage(caught, stopped.threads.length - 1, gadget.areaSize);
    using _ = leaving(page, () => new GuardedScope(pid, task, gadget));
    const context = this.#context.in(this.#context.mountViews.add(task));
    const common = { context, pid, task, command: stat.comm, status, mappings };
    const mainStat = task === pid ? stat : parseStat(readFileSync(`/proc/${task}/stat`, "utf8"));
    const states = new Map<number, unknown>();
    const lookAt = (process: FreezeProcess, answers: ReadonlyMap<string, Answers>): void => {
      const tid = livingThread(process.scope.tid);
      states.set(tid, this.#freezeThread(lookAtThread(process, tid, this.#set), stopped.threads, answers));
    };
    {
      using scope = new GuardedScope(pid, task, gadget, page);
      const answers = askAll(scope, [...processResources, ...threadResources]);
      const process: FreezeProcess = { ...common, stat: mainStat, scope };
      for (const [child, news] of findUnwaited(process, this.#set)) this.#unwaited.set(child, news);
      resources = this.#freezeAll(processResources, process, answers);
      if (task !== pid) {
        const leader = { stat, status: parseStatus(readFileSync(`/proc/${pid}/status`, "utf8")) };
        endedLeader = this.#orRefuse(() => freezeEndedLeader(process, leader, answers));
      }
      if (!borrowed("memory")) {
        vdso = freezeVdso(process);
        frozenMappings = freezeMappings(process);
        for (const mapping of mappings)
          if (mapping.shared && isWithoutFile(mapping.path)) refuseSharedMemory(process, mapping);
      }
      lookAt(process, answers);
    }
    const others = stopped.threads.map(({ tid }) => tid).filter((tid) => tid !== task);
    askThreads({ pid, gadget, page }, others, threadResources, (scope, answers) =>
      lookAt({ ...common, stat: mainStat, scope }, answers),
    );
    const threads = stopped.threads.map(({ tid }) => states.get(tid));
    return {
      threads,
      ...(endedLeader && { endedLeader }),
      descriptors: borrowed("files") ? [] : descriptors,
      mappings: frozenMappings,
      vdso,
      resources,
    } as FrozenBody;
  }

  #freezeThread(thread: FreezeThread, all: readonly { tid: Task }[], answers: ReadonlyMap<string, Answers>): unknown {
    const inside = idsBelow(thread.status, "NSpid");
    const unshared = this.#orRefuse(() => this.#freezeUnshared(thread, all));
    return {
      tid: thread.tid,
      ...(unshared && { unshared }),
      ...(inside.length > 0 && { tidsInNamespaces: inside }),
      ...this.#freezeAll(threadResources, thread, answers),
    };
  }

  #freezeUnshared(thread: FreezeThread, all: readonly { tid: Task }[]): Unshared | undefined {
    const { task: tid, process } = thread;
    if (!hasOwnDirectory(process.task, tid)) return freezeUnshared(thread, []);
    const before = all.map((other) => other.tid);
    const context = this.#context.in(this.#context.mountViews.add(tid));
    const placed = { ...thread, process: { ...process, context } };
    return freezeUnshared(placed, before.slice(0, before.indexOf(tid)));
  }

  /** What looking finds; a refusal is noted, and nothing found. */
  #orRefuse<T>(look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#context.refuse(error);
      return undefined;
    }
  }

  /** Known only when all descriptors are: the other side of the terminal may be with any process of the set. */
  #noteTerminal(process: FrozenProcess): void {
    const stat = this.#set.processes.get(process.pid)?.stat;
    if (!stat || !process.body) return;
    const terminal = this.#orRefuse(() => freezeControllingTerminal(this.#context, stat));
    if (terminal) process.controllingTerminal = terminal;
  }

  /** A mapping of something that only a descriptor can tell of, when that descriptor has been closed. */
  #refuseOrphanMappings(process: FrozenProcess): void {
    for (const { start, backing } of process.body?.mappings ?? []) {
      if (!backing || this.#context.has(backing.object) || this.#isRefusedRing(process.pid, backing.object)) continue;
      this.#context.refuse(failures.MAPPING_WITHOUT_DESCRIPTOR({ process, start, object: backing.object }));
    }
  }

  /** A ring in use has been refused by a better name already, and is at rest in a moment. */
  #isRefusedRing(pid: number, object: string): boolean {
    if (!object.startsWith(RING_PREFIX)) return false;
    return this.#context.collected.refusals.some(({ code, facts }) => code === "IO_URING" && facts["pid"] === pid);
  }

  #freezeAll<C>(
    kinds: readonly { name: string; freeze(context: C, answers: Answers): unknown }[],
    context: C,
    answers: ReadonlyMap<string, Answers>,
  ): Record<string, unknown> {
    const states: Record<string, unknown> = {};
    for (const kind of kinds) {
      try {
        states[kind.name] = kind.freeze(context, answers.get(kind.name) ?? NO_ANSWERS);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.#context.refuse(error);
      }
    }
    return states;
  }
}

/** Whatever happens in between, our page is taken out of the program. */
function leaving(page: CallPage, open: () => GuardedScope): Disposable {
  return {
    [Symbol.dispose]() {
      if (!page.mapped) return;
      using scope = open();
      page.leave(scope);
    },
  };
}

function lookAtThread(process: FreezeProcess, tid: Task, set: StoppedSet): FreezeThread {
  const base = `/proc/${process.pid}/task/${tid}` as const;
  return {
    process,
    tid,
    task: tid,
    sleepsUntil: set.sleepsUntil(tid),
    scope: process.scope,
    stat: tid === process.task ? process.stat : parseStat(readFileSync(`${base}/stat`, "utf8")),
    status: tid === process.task ? process.status : parseStatus(readFileSync(`${base}/status`, "utf8")),
  };
}

/** Its real user, as whoever waits for it is told. */
function zombieUser(pid: number): number {
  return Number(
    parseStatus(readFileSync(`/proc/${pid}/status`, "utf8"))
      .get("Uid")
      ?.split(/\s+/)[0] ?? 0,
  );
}

/** Parents before children. */
function inTreeOrder(set: StoppedSet): StoppedProcess[] {
  const ordered: StoppedProcess[] = [];
  const place = (parent: number | undefined): void => {
    for (const process of set.processes.values()) {
      const inside = set.processes.has(process.stat.ppid);
      if (parent === undefined ? inside : process.stat.ppid !== parent) continue;
      ordered.push(process);
      place(process.pid);
    }
  };
  place(undefined);
  return ordered;
}
