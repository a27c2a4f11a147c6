/**
 * In which order, and from whom, the processes of a set can be born so that each has its parent, its session and what
 * it shares with others (clone(2), setsid(2), credentials(7)). Nothing but a birth gives a process its session, and
 * whoever is cloned shares with the one that clones it; its parent it may get later, when a helper in between ends and
 * the nearest subreaper takes its children in (PR_SET_CHILD_SUBREAPER of prctl(2)).
 *
 * A pure plan: freezing asks whether there is one, thawing follows it.
 */

/** What processes can share without being threads of one another, with the flag of clone(2) that begins it. */
export const SHARES = ["memory", "files", "filesystem", "signalActions", "semaphoreUndo", "io"] as const;
export type Share = (typeof SHARES)[number];

export interface Kin {
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
      readonly kind: "birth";
      readonly pid: number;
      readonly parent: number;
      /** Who clones it; a stand-in goes by the number of its session. */
      readonly donor: number;
      /** The donor is its parent, or a sibling (CLONE_PARENT), or the parent takes it in afterwards. */
      readonly way: "child" | "sibling" | "adopted";
      readonly shared: readonly Share[];
    }
  | { readonly kind: "session"; readonly pid: number }
  /** No way has given the one just born its session, or all that it shares. */
  | { readonly kind: "stray"; readonly pid: number; readonly missing: "session" | Share };

interface Born {
  readonly parent: number;
  readonly exitSignal: number;
  session: number;
}

const SIGCHLD = 17;

/** Plans all births. `rootSession` is the one of {@link ROOT}; `lives` says whether some process leads a session. */
export function planLineage(kin: readonly Kin[], rootSession: number, lives: (sid: number) => boolean): Step[] {
  return new Planner(kin, rootSession, lives).run();
}

class Planner {
  readonly #kin: ReadonlyMap<number, Kin>;
  readonly #children: Map<number, Kin[]>;
  readonly #lives: (sid: number) => boolean;
  readonly #steps: Step[] = [];
  readonly #born = new Map<number, Born>();
  readonly #needed = new Map<number, number | undefined>();
  #waiting: Kin[] = [];

  constructor(kin: readonly Kin[], rootSession: number, lives: (sid: number) => boolean) {
    this.#kin = new Map(kin.map((one) => [one.pid, one]));
    this.#children = Map.groupBy(kin, ({ ppid }) => (this.#kin.has(ppid) ? ppid : ROOT));
    this.#lives = lives;
    this.#born.set(ROOT, { parent: -1, session: rootSession, exitSignal: 0 });
  }

  run(): Step[] {
    this.#bearChildren(ROOT, true);
    while (this.#waiting.length > 0) {
      const before = this.#waiting;
      this.#waiting = [];
      for (const one of before) if (!this.#tryBirth(one)) this.#waiting.push(one);
      if (this.#waiting.length < before.length) continue;
      if (!this.#standIn()) this.#giveUp();
    }
    return this.#steps;
  }

  #parentOf({ ppid }: Kin): number {
    return this.#kin.has(ppid) ? ppid : ROOT;
  }

  /** The session that a process must be born into; undefined when any will do, because it makes one of its own. */
  #birthSession(one: Kin): number | undefined {
    if (one.sid !== one.pid) return one.sid;
    if (!this.#needed.has(one.pid)) {
      this.#needed.set(one.pid, undefined);
      this.#needed.set(one.pid, this.#neededBy(one));
    }
    return this.#needed.get(one.pid);
  }

  /** A session of one of its children that the leader of another one can have been in only before it led its own. */
  #neededBy(leader: Kin): number | undefined {
    for (const child of this.#children.get(leader.pid) ?? []) {
      const session = this.#birthSession(child);
      if (session === undefined || session === leader.sid || this.#isBelow(session, leader.pid)) continue;
      const elsewhere = [...this.#kin.values()].some(
        (other) => other.sid === session && !this.#isBelow(other.pid, leader.pid),
      );
      if (elsewhere || (this.#lives(session) && !this.#kin.has(session))) return session;
    }
    return undefined;
  }

  /** Whether a process of the set is a descendant of another. */
  #isBelow(pid: number, ancestor: number): boolean {
    for (let at = this.#kin.get(pid); at; at = this.#kin.get(at.ppid)) if (at.ppid === ancestor) return true;
    return ancestor === ROOT && this.#kin.has(pid);
  }

  /** Those children that belong to the parent's session of the moment; the last time, whoever is left waits. */
  #bearChildren(parent: number, last: boolean): void {
    for (const child of this.#children.get(parent) ?? []) {
      if (this.#born.has(child.pid)) continue;
      const wanted = this.#birthSession(child);
      const here = wanted === undefined ? last : wanted === this.#born.get(parent)?.session;
      if (here && this.#mayClone(parent, child)) this.#bear(child, parent, "child");
      else if (last) this.#waiting.push(child);
    }
  }

  #bear(one: Kin, donor: number, way: "child" | "sibling" | "adopted", missing?: "session" | Share): void {
    const parent = this.#parentOf(one);
    const shared = SHARES.filter((share) => this.#hasInCommon(share, one, this.#kin.get(donor)));
    this.#steps.push({ kind: "birth", pid: one.pid, parent, donor, way, shared });
    const born: Born = { parent, session: this.#born.get(donor)?.session ?? 0, exitSignal: one.exitSignal };
    this.#born.set(one.pid, born);
    if (missing !== undefined) this.#steps.push({ kind: "stray", pid: one.pid, missing });
    // The session that it gets instead stands for the one that it had.
    if (missing === "session") born.session = this.#birthSession(one) ?? born.session;
    if (one.sid === one.pid) {
      this.#bearChildren(one.pid, false);
      this.#steps.push({ kind: "session", pid: one.pid });
      born.session = one.pid;
    }
    this.#bearChildren(one.pid, true);
  }

  #hasInCommon(share: Share, one: Kin, other: Kin | undefined): boolean {
    return one.shares?.[share] !== undefined && one.shares[share] === other?.shares?.[share];
  }

  /** What it shares with somebody who is there already it must share with whoever clones it. */
  #mayClone(donor: number, one: Kin): boolean {
    return this.#missing(donor, one) === undefined;
  }

  #missing(donor: number, one: Kin): Share | undefined {
    const other = this.#kin.get(donor);
    return SHARES.find((share) => {
      if (one.shares?.[share] === undefined || this.#hasInCommon(share, one, other)) return false;
      return [...this.#born.keys()].some((pid) => this.#hasInCommon(share, one, this.#kin.get(pid)));
    });
  }

  /** By a process that stands below its parent, is in the right session, and shares the right things. */
  #tryBirth(one: Kin): boolean {
    const wanted = this.#birthSession(one);
    const parent = this.#parentOf(one);
    for (const [donor, { session, parent: above, exitSignal }] of this.#born) {
      if ((wanted !== undefined && session !== wanted) || !this.#descends(donor, parent)) continue;
      if (!this.#mayClone(donor, one)) continue;
      const sibling = above === parent && donor !== parent && exitSignal === one.exitSignal;
      this.#bear(one, donor, donor === parent ? "child" : sibling ? "sibling" : "adopted");
      return true;
    }
    return false;
  }

  #descends(pid: number, ancestor: number): boolean {
    for (let at: number | undefined = pid; at !== undefined && at >= 0; at = this.#born.get(at)?.parent) {
      if (at === ancestor) return true;
    }
    return false;
  }

  /** A leader for a session whose own has ended, as far down as those who wait for it allow. */
  #standIn(): boolean {
    for (const member of this.#waiting) {
      const sid = this.#birthSession(member);
      if (sid === undefined || this.#born.has(sid) || this.#kin.has(sid) || this.#lives(sid)) continue;
      const parents = this.#waiting.filter((one) => this.#birthSession(one) === sid).map((one) => this.#parentOf(one));
      const deepest = parents.reduce((low, parent) => (this.#descends(parent, low) ? parent : low));
      this.#steps.push({ kind: "stand-in", sid, parent: deepest, member: member.pid });
      this.#born.set(sid, { parent: deepest, session: sid, exitSignal: SIGCHLD });
      return true;
    }
    return false;
  }

  #giveUp(): void {
    const [one, ...others] = this.#waiting;
    if (!one) return;
    this.#waiting = others;
    const parent = this.#parentOf(one);
    this.#bear(one, parent, "child", this.#missing(parent, one) ?? "session");
  }
}
