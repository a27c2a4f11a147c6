/**
 * In which order, and from whom, the processes of a set can be cloned so that each has its parent, its session and what
 * it shares with others (clone(2), setsid(2), credentials(7)). Only fork gives a process the session of another, and
 * whoever is cloned shares with the one that clones it; its parent it may get later, when a helper in between ends and
 * the nearest subreaper takes its children in (PR_SET_CHILD_SUBREAPER of prctl(2)).
 *
 * A pure plan: freezing asks whether there is one, thawing follows it.
 */

/** What processes can share without being threads of one another, with the flag of clone(2) that begins it. */
export const SHARES = ["memory", "files", "filesystem", "signalActions", "semaphoreUndo", "io"] as const;
export type Share = (typeof SHARES)[number];

export interface ProcessIdentity {
  readonly pid: number;
  readonly ppid: number;
  readonly sid: number;
  readonly exitSignal: number;
  /** For each thing that it shares: the pid that stands for all who share it. */
  readonly shares?: Partial<Readonly<Record<Share, number>>> | undefined;
}

/** The process that all of the set descend from while they are built. */
export const ROOT = 0;

export type Step =
  /** A process leads session `sid` for the time of the building, because its leader has ended. */
  | { readonly kind: "stand-in"; readonly sid: number; readonly parent: number; readonly member: number }
  | {
      readonly kind: "clone";
      readonly pid: number;
      readonly parent: number;
      /** Who clones it; a stand-in goes by the number of its session. */
      readonly cloner: number;
      /** The cloner is its parent, or a sibling (CLONE_PARENT), or the parent takes it in afterwards. */
      readonly relation: "child" | "sibling" | "adopted";
      readonly shared: readonly Share[];
    }
  | { readonly kind: "session"; readonly pid: number }
  /** No order of clones gives the one just cloned its session, or all that it shares. */
  | { readonly kind: "unplaceable"; readonly pid: number; readonly missing: "session" | Share };

interface Planned {
  readonly parent: number;
  readonly exitSignal: number;
  session: number;
}

const SIGCHLD = 17;

/** Plans all clones. `rootSession` is the one of {@link ROOT}; `lives` says whether some process leads a session. */
export function planClones(
  processes: readonly ProcessIdentity[],
  rootSession: number,
  lives: (sid: number) => boolean,
): Step[] {
  return new Planner(processes, rootSession, lives).run();
}

class Planner {
  readonly #processes: ReadonlyMap<number, ProcessIdentity>;
  readonly #children: Map<number, ProcessIdentity[]>;
  readonly #lives: (sid: number) => boolean;
  readonly #steps: Step[] = [];
  readonly #planned = new Map<number, Planned>();
  readonly #needed = new Map<number, number | undefined>();
  #waiting: ProcessIdentity[] = [];

  constructor(processes: readonly ProcessIdentity[], rootSession: number, lives: (sid: number) => boolean) {
    this.#processes = new Map(processes.map((one) => [one.pid, one]));
    this.#children = Map.groupBy(processes, ({ ppid }) => (this.#processes.has(ppid) ? ppid : ROOT));
    this.#lives = lives;
    this.#planned.set(ROOT, { parent: -1, session: rootSession, exitSignal: 0 });
  }

  run(): Step[] {
    this.#planChildren(ROOT, true);
    while (this.#waiting.length > 0) {
      const before = this.#waiting;
      this.#waiting = [];
      for (const one of before) if (!this.#tryClone(one)) this.#waiting.push(one);
      if (this.#waiting.length < before.length) continue;
      if (!this.#standIn()) this.#giveUp();
    }
    return this.#steps;
  }

  #parentOf({ ppid }: ProcessIdentity): number {
    return this.#processes.has(ppid) ? ppid : ROOT;
  }

  /** The session that a process must be cloned in; undefined when any will do, because it makes one of its own. */
  #sessionAtClone(one: ProcessIdentity): number | undefined {
    if (one.sid !== one.pid) return one.sid;
    if (!this.#needed.has(one.pid)) {
      this.#needed.set(one.pid, undefined);
      this.#needed.set(one.pid, this.#neededBy(one));
    }
    return this.#needed.get(one.pid);
  }

  /** A session of one of its children that the leader of another one can have been in only before it led its own. */
  #neededBy(leader: ProcessIdentity): number | undefined {
    for (const child of this.#children.get(leader.pid) ?? []) {
      const session = this.#sessionAtClone(child);
      if (session === undefined || session === leader.sid || this.#isBelow(session, leader.pid)) continue;
      const elsewhere = [...this.#processes.values()].some(
        (other) => other.sid === session && !this.#isBelow(other.pid, leader.pid),
      );
      if (elsewhere || (this.#lives(session) && !this.#processes.has(session))) return session;
    }
    return undefined;
  }

  /** Whether a process of the set is a descendant of another. */
  #isBelow(pid: number, ancestor: number): boolean {
    for (let at = this.#processes.get(pid); at; at = this.#processes.get(at.ppid))
      if (at.ppid === ancestor) return true;
    return ancestor === ROOT && this.#processes.has(pid);
  }

  /** Those children that belong to the parent's session of the moment; the last time, whoever is left waits. */
  #planChildren(parent: number, last: boolean): void {
    for (const child of this.#children.get(parent) ?? []) {
      if (this.#planned.has(child.pid)) continue;
      const wanted = this.#sessionAtClone(child);
      const here = wanted === undefined ? last : wanted === this.#planned.get(parent)?.session;
      if (here && this.#mayClone(parent, child)) this.#plan(child, parent, "child");
      else if (last) this.#waiting.push(child);
    }
  }

  #plan(
    one: ProcessIdentity,
    cloner: number,
    relation: "child" | "sibling" | "adopted",
    missing?: "session" | Share,
  ): void {
    const parent = this.#parentOf(one);
    const shared = SHARES.filter((share) => this.#hasInCommon(share, one, this.#processes.get(cloner)));
    this.#steps.push({ kind: "clone", pid: one.pid, parent, cloner, relation, shared });
    const planned: Planned = { parent, session: this.#planned.get(cloner)?.session ?? 0, exitSignal: one.exitSignal };
    this.#planned.set(one.pid, planned);
    if (missing !== undefined) this.#steps.push({ kind: "unplaceable", pid: one.pid, missing });
    // The session that it gets instead stands for the one that it had.
    if (missing === "session") planned.session = this.#sessionAtClone(one) ?? planned.session;
    if (one.sid === one.pid) {
      this.#planChildren(one.pid, false);
      this.#steps.push({ kind: "session", pid: one.pid });
      planned.session = one.pid;
    }
    this.#planChildren(one.pid, true);
  }

  #hasInCommon(share: Share, one: ProcessIdentity, other: ProcessIdentity | undefined): boolean {
    return one.shares?.[share] !== undefined && one.shares[share] === other?.shares?.[share];
  }

  /** What it shares with somebody who is there already it must share with whoever clones it. */
  #mayClone(cloner: number, one: ProcessIdentity): boolean {
    return this.#missing(cloner, one) === undefined;
  }

  #missing(cloner: number, one: ProcessIdentity): Share | undefined {
    const other = this.#processes.get(cloner);
    return SHARES.find((share) => {
      if (one.shares?.[share] === undefined || this.#hasInCommon(share, one, other)) return false;
      return [...this.#planned.keys()].some((pid) => this.#hasInCommon(share, one, this.#processes.get(pid)));
    });
  }

  /** By a process that stands below its parent, is in the right session, and shares the right things. */
  #tryClone(one: ProcessIdentity): boolean {
    const wanted = this.#sessionAtClone(one);
    const parent = this.#parentOf(one);
    for (const [cloner, { session, parent: above, exitSignal }] of this.#planned) {
      if ((wanted !== undefined && session !== wanted) || !this.#descends(cloner, parent)) continue;
      if (!this.#mayClone(cloner, one)) continue;
      const sibling = above === parent && cloner !== parent && exitSignal === one.exitSignal;
      this.#plan(one, cloner, cloner === parent ? "child" : sibling ? "sibling" : "adopted");
      return true;
    }
    return false;
  }

  #descends(pid: number, ancestor: number): boolean {
    for (let at: number | undefined = pid; at !== undefined && at >= 0; at = this.#planned.get(at)?.parent) {
      if (at === ancestor) return true;
    }
    return false;
  }

  /** A leader for a session whose own has ended, as far down as those who wait for it allow. */
  #standIn(): boolean {
    for (const member of this.#waiting) {
      const sid = this.#sessionAtClone(member);
      if (sid === undefined || this.#planned.has(sid) || this.#processes.has(sid) || this.#lives(sid)) continue;
      const parents = this.#waiting
        .filter((one) => this.#sessionAtClone(one) === sid)
        .map((one) => this.#parentOf(one));
      const deepest = parents.reduce((low, parent) => (this.#descends(parent, low) ? parent : low));
      this.#steps.push({ kind: "stand-in", sid, parent: deepest, member: member.pid });
      this.#planned.set(sid, { parent: deepest, session: sid, exitSignal: SIGCHLD });
      return true;
    }
    return false;
  }

  #giveUp(): void {
    const [one, ...others] = this.#waiting;
    if (!one) return;
    this.#waiting = others;
    const parent = this.#parentOf(one);
    this.#plan(one, parent, "child", this.#missing(parent, one) ?? "session");
  }
}
