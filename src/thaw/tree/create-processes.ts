/** Following the clone plan (`image/clone-plan.ts`): blank processes with their ids, parents, sessions and shares. */
import { existsSync, readFileSync } from "node:fs";
import { CLONE } from "../../abi/clone.ts";
import { PR } from "../../abi/prctl.ts";
import { SIGNAL } from "../../abi/signal.ts";
import { WAIT } from "../../abi/wait.ts";
import { planClones, ROOT, type Share, type Step } from "../../image/clone-plan.ts";
import { stateOfKind } from "../../image/kinds.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import { parseStat } from "../../proc/status.ts";
import { cgroupNamespace } from "../../resources/cgroup/namespace.ts";
import { ipcNamespace } from "../../resources/ipc/namespace.ts";
import { mountNamespace } from "../../resources/mount/namespace.ts";
import { utsNamespace } from "../../resources/namespace/uts.ts";
import { netNamespace } from "../../resources/net/namespace.ts";
import { takeTerminal } from "../../resources/tty/controlling-terminal.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { enterNamespaces } from "../../resources/namespace/membership.ts";
import { joinSessionAtClone } from "../../resources/security/keyrings.ts";
import { beginProcess } from "../fill/build.ts";
import { visible } from "./pid-namespaces.ts";
import { cloneBlank, cloneHelper, endProcess, cloneSessionLeader } from "./clone-process.ts";
import type { TreeBuilder } from "./tree-builder.ts";
import { BuiltProcess } from "../fill/process.ts";
import type { TimeNamespaces } from "./time-namespaces.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

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

/** Namespaces that say which user namespace they belong to. */
const OWNED = [utsNamespace, ipcNamespace, netNamespace, mountNamespace, cgroupNamespace];

/** Makes all processes; returns those that are not of the set and must end when groups are made. */
export function createAll(
  builder: TreeBuilder,
  states: readonly FrozenProcess[],
  timeNamespaces: TimeNamespaces,
): StandIn[] {
  const ownSession = parseStat(readFileSync("/proc/self/stat", "utf8")).session;
  const plan = planClones(states, ownSession, (sid) => existsSync(`/proc/${sid}`));
  const creation = new ProcessCreation(builder, states, timeNamespaces);
  for (const step of plan) creation.follow(step);
  return creation.standIns;
}

class ProcessCreation {
  readonly standIns: StandIn[] = [];
  readonly #builder: TreeBuilder;
  readonly #timeNamespaces: TimeNamespaces;
  readonly #states: ReadonlyMap<number, FrozenProcess>;
  readonly #leaders = new Map<number, BuildScope>();
  readonly #insideOf = new Map<number, FrozenProcess["pidNamespace"]>();

  constructor(builder: TreeBuilder, states: readonly FrozenProcess[], timeNamespaces: TimeNamespaces) {
    this.#builder = builder;
    this.#timeNamespaces = timeNamespaces;
    this.#states = new Map(states.map((state) => [state.pid, state]));
  }

  follow(step: Step): void {
    if (step.kind === "stand-in") this.#standIn(step);
    else if (step.kind === "clone") this.#create(step);
    else if (step.kind === "session") this.#lead(step.pid);
    else if (step.missing === "session") this.#lead(step.pid, true);
  }

  #scopeOf(pid: number): BuildScope {
    if (pid === ROOT) return this.#builder.root;
    const scope = this.#leaders.get(pid) ?? this.#builder.built.get(pid)?.scope;
    if (!scope) throw new InconsistentImage(`process ${pid} is wanted before it is cloned`);
    return scope;
  }

  #stateOf(pid: number): FrozenProcess {
    return this.#states.get(pid) as FrozenProcess;
  }

  #standIn({ sid, parent, member }: Extract<Step, { kind: "stand-in" }>): void {
    const state = this.#stateOf(member);
    const above = this.#scopeOf(parent);
    const leader = cloneSessionLeader(
      this.#builder,
      above,
      sid,
      state,
      visible(state.pidNamespace?.sids),
      SIGNAL.SIGCHLD,
    );
    leader.call("setsid", `Making session ${sid}`);
    this.#leaders.set(sid, leader);
    this.#insideOf.set(sid, state.pidNamespace);
    this.standIns.push({
      end() {
        endProcess(sid);
        reap(above, state.pidNamespace?.sids.at(-1) || sid);
      },
    });
  }

  #create({ pid, parent, cloner, relation, shared }: Extract<Step, { kind: "clone" }>): void {
    const state = this.#stateOf(pid);
    const flags = shared.reduce((all, share) => (all | FLAGS[share]) >>> 0, 0);
    const from = this.#scopeOf(cloner);
    const shares = this.#builder.built.get(cloner);
    let scope: BuildScope;
    if (relation === "adopted") scope = this.#adopt(state, this.#scopeOf(parent), from, flags);
    else {
      const all = relation === "sibling" ? (flags | CLONE.PARENT) >>> 0 : flags;
      scope = cloneBlank(this.#builder, from, pid, state.pidNamespace, state.exitSignal, all);
    }
    const { context, channel, built } = this.#builder;
    const above = built.get(parent);
    const held = shared.includes("files") && shares ? shares.channel : (shares?.channel ?? channel).copy();
    const process = new BuiltProcess(context, state, scope, above, held);
    built.set(pid, process);
    context.processes.set(pid, process);
    this.#timeNamespaces.join(process);
    if (state.shares?.filesystem === pid) process.thaw.openFor(pid, () => beginProcess(process));
    else if (this.#createsIntoUser(state)) this.#enterEarly(process);
    joinSessionAtClone(process, state.body?.threads[0]);
    this.#builder.cowSharing.prepare(process);
  }

  /** A child in a user namespace below cannot go by itself to where its parent is: it must be cloned there. */
  #createsIntoUser({ pid, pidNamespace: inside }: FrozenProcess): boolean {
    const owner = inside?.owners?.at(-1);
    return [...this.#states.values()].some(
      (child) => child.ppid === pid && child.pidNamespace?.owners?.at(-1) !== owner,
    );
  }

  /** What belongs to a user namespace that is still to come, the child enters by itself. */
  #enterEarly(process: BuiltProcess): void {
    const { context } = this.#builder;
    enterNamespaces(process, process.body.resources.namespaces, (id) => {
      const object = context.stateOf(id);
      const owned = OWNED.map((kind) => stateOfKind<{ owner?: string | undefined }>(kind, object)).find(Boolean);
      return owned !== undefined && (owned.owner === undefined || context.has(owned.owner));
    });
  }

  /** A helper of the cloner's makes the child and ends; the parent is the nearest who takes in what it leaves behind. */
  #adopt(state: FrozenProcess, parent: BuildScope, cloner: BuildScope, flags: number): BuildScope {
    const inside = this.#states.get(cloner.pid)?.pidNamespace ?? this.#insideOf.get(cloner.pid);
    const helper = cloneHelper(this.#builder, cloner, inside, flags);
    const child = cloneBlank(this.#builder, helper, state.pid, state.pidNamespace, SIGNAL.SIGCHLD, flags);
    parent.call("prctl", "Taking a process in", PR.SET_CHILD_SUBREAPER, 1);
    endProcess(helper.pid);
    reap(cloner, helper.pid);
    parent.call("prctl", "Taking no more processes in", PR.SET_CHILD_SUBREAPER, 0);
    return child;
  }

  #lead(pid: number, instead = false): void {
    const process = this.#builder.built.get(pid) as BuiltProcess;
    process.scope.call("setsid", `Making session ${pid}`);
    const { command, sid, controllingTerminal: terminal } = process.state;
    if (terminal) process.thaw.openFor(process.pid, () => takeTerminal(process, terminal));
    if (!instead) return;
    this.#builder.inNewSessions.add(pid);
    this.#builder.notes.push(
      `Process ${pid} (${command}) leads a session of its own now: its session ${sid} belongs to another terminal.`,
    );
  }
}

/** Waits for a child that has ended, as its parent, and takes the news of it away. */
function reap(parent: BuildScope, pid: number): void {
  parent.attempt("wait4", pid, 0, WAIT.WALL, 0);
  parent.forgetSignal(SIGNAL.SIGCHLD);
}
