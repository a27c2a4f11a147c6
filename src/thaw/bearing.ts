/** Following the plan of births (`image/lineage.ts`): blank processes with their ids, parents, sessions and shares. */
import { existsSync, readFileSync } from "node:fs";
import { CLONE } from "../abi/clone.ts";
import { PR } from "../abi/prctl.ts";
import { SIGNAL } from "../abi/signal.ts";
import { WAIT } from "../abi/wait.ts";
import { planLineage, ROOT, type Share, type Step } from "../image/lineage.ts";
import type { FrozenProcess } from "../image/schema.ts";
import { parseStat } from "../proc/status.ts";
import { takeTerminal } from "../resources/process/controlling-terminal.ts";
import type { BuildScope } from "../tracee/build-scope.x86_64.ts";
import { enterNamespaces, type NamespacesState } from "../resources/process/namespaces.ts";
import { joinSessionAtBirth } from "../resources/thread/keyrings.ts";
import { beginProcess } from "./build.ts";
import { visible } from "./births.ts";
import { cloneBlank, cloneHelper, endProcess, standInFor, type Nursery } from "./nursery.ts";
import { BuiltProcess } from "./process.ts";
import { spareIds } from "./spare-ids.ts";
import type { Times } from "./times.ts";

/** A process that leads a session whose leader has ended, until all is in place. */
export interface StandIn {
  end(): void;
}

const FLAGS: Readonly<Record<Share, number>> = {
  memory: CLONE.VM,
  files: CLONE.FILES,
  filesystem: CLONE.FS,
  signalActions: CLONE.SIGHAND,
  semaphoreUndo: CLONE.SYSVSEM,
  io: CLONE.IO,
};

/** Makes all processes; returns those that are not of the set and must end when groups are made. */
export function bearAll(nursery: Nursery, states: readonly FrozenProcess[], times: Times): StandIn[] {
  const ownSession = parseStat(readFileSync("/proc/self/stat", "utf8")).session;
  const plan = planLineage(states, ownSession, (sid) => existsSync(`/proc/${sid}`));
  const bearing = new Bearing(nursery, states, times);
  for (const step of plan) bearing.follow(step);
  return bearing.standIns;
}

class Bearing {
  readonly standIns: StandIn[] = [];
  readonly #nursery: Nursery;
  readonly #times: Times;
  readonly #states: ReadonlyMap<number, FrozenProcess>;
  readonly #ids: Iterator<number, never>;
  readonly #leaders = new Map<number, BuildScope>();
  readonly #insideOf = new Map<number, FrozenProcess["inside"]>();

  constructor(nursery: Nursery, states: readonly FrozenProcess[], times: Times) {
    this.#nursery = nursery;
    this.#times = times;
    this.#states = new Map(states.map((state) => [state.pid, state]));
    this.#ids = spareIds(states);
  }

  follow(step: Step): void {
    if (step.kind === "stand-in") this.#standIn(step);
    else if (step.kind === "birth") this.#bear(step);
    else if (step.kind === "session") this.#lead(step.pid);
    else if (step.missing === "session") this.#lead(step.pid, true);
  }

  #scopeOf(pid: number): BuildScope {
    if (pid === ROOT) return this.#nursery.root;
    const scope = this.#leaders.get(pid) ?? this.#nursery.built.get(pid)?.scope;
    if (!scope) throw new RangeError(`process ${pid} is wanted before its birth`);
    return scope;
  }

  #stateOf(pid: number): FrozenProcess {
    return this.#states.get(pid) as FrozenProcess;
  }

  #standIn({ sid, parent, member }: Extract<Step, { kind: "stand-in" }>): void {
    const state = this.#stateOf(member);
    const above = this.#scopeOf(parent);
    const leader = standInFor(this.#nursery, above, sid, state, visible(state.inside?.sids), SIGNAL.SIGCHLD);
    leader.call("setsid", `Making session ${sid}`);
    this.#leaders.set(sid, leader);
    this.#insideOf.set(sid, state.inside);
    this.standIns.push({
      end() {
        endProcess(sid);
        bury(above, state.inside?.sids.at(-1) || sid);
      },
    });
  }

  #bear({ pid, parent, donor, way, shared }: Extract<Step, { kind: "birth" }>): void {
    const state = this.#stateOf(pid);
    const flags = shared.reduce((all, share) => (all | FLAGS[share]) >>> 0, 0);
    const from = this.#scopeOf(donor);
    const shares = this.#nursery.built.get(donor);
    let scope: BuildScope;
    if (way === "adopted") scope = this.#adopt(state, this.#scopeOf(parent), from, flags);
    else {
      const all = way === "sibling" ? (flags | CLONE.PARENT) >>> 0 : flags;
      scope = cloneBlank(this.#nursery, from, pid, state.inside, state.exitSignal, all);
    }
    const { context, door, built } = this.#nursery;
    const above = built.get(parent);
    const held = shared.includes("files") && shares ? shares.door : (shares?.door ?? door).copy();
    const process = new BuiltProcess(context, state, scope, above, held);
    built.set(pid, process);
    context.processes.set(pid, process);
    this.#times.join(process);
    if (state.shares?.filesystem === pid) process.context.openFor(pid, () => beginProcess(process));
    else if (this.#bearsIntoUser(state)) this.#enterEarly(process);
    joinSessionAtBirth(process, state.body?.threads[0] as Parameters<typeof joinSessionAtBirth>[1]);
    this.#nursery.heritage.prepare(process);
  }

  /** A child in a user namespace below cannot go by itself to where its parent is: it must be born there. */
  #bearsIntoUser({ pid, inside }: FrozenProcess): boolean {
    const owner = inside?.owners?.at(-1);
    return [...this.#states.values()].some((child) => child.ppid === pid && child.inside?.owners?.at(-1) !== owner);
  }

  /** What belongs to a user namespace that is still to come, the child enters by itself. */
  #enterEarly(process: BuiltProcess): void {
    const { context } = this.#nursery;
    enterNamespaces(process, process.body.resources["namespaces"] as NamespacesState, (id) => {
      const { owner } = context.stateOf(id) as { owner?: string };
      return owner === undefined || context.has(owner);
    });
  }

  /** A helper of the donor's makes the child and ends; the parent is the nearest who takes in what it leaves behind. */
  #adopt(state: FrozenProcess, parent: BuildScope, donor: BuildScope, flags: number): BuildScope {
    const inside = this.#states.get(donor.pid)?.inside ?? this.#insideOf.get(donor.pid);
    const helper = cloneHelper(this.#nursery, donor, this.#ids, inside, flags);
    const child = cloneBlank(this.#nursery, helper, state.pid, state.inside, SIGNAL.SIGCHLD, flags);
    parent.call("prctl", "Taking a process in", PR.SET_CHILD_SUBREAPER, 1);
    endProcess(helper.pid);
    bury(donor, helper.pid);
    parent.call("prctl", "Taking no more processes in", PR.SET_CHILD_SUBREAPER, 0);
    return child;
  }

  #lead(pid: number, instead = false): void {
    const process = this.#nursery.built.get(pid) as BuiltProcess;
    process.scope.call("setsid", `Making session ${pid}`);
    const { command, sid, terminal } = process.state;
    if (terminal) process.context.openFor(process.pid, () => takeTerminal(process, terminal));
    if (!instead) return;
    this.#nursery.onTheirOwn.add(pid);
    this.#nursery.notes.push(
      `Process ${pid} (${command}) leads a session of its own now: its session ${sid} belongs to another terminal.`,
    );
  }
}

/** Waits for a child that has ended, as its parent, and takes the news of it away. */
function bury(parent: BuildScope, pid: number): void {
  parent.attempt("wait4", pid, 0, WAIT.WALL, 0);
  parent.forgetSignal(SIGNAL.SIGCHLD);
}
