/**
 * What an ordinary user may freeze and thaw: processes that are wholly the user's own, holding nothing that the user
 * could not have made or opened. Asked of the state both before it is signed and before anything is made of it. What is
 * not on the lists below is refused: a new kind of resource is not for users until somebody has thought about it.
 */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { Identity } from "../abi/identity.ts";
import { Refusal } from "../lib/errors.ts";
import type { FrozenFile, FrozenProcess, FrozenState } from "./schema.ts";

const FILES = new Set(
  "regular directory device pipe fifo eventfd timerfd signalfd epoll inotify pidfd unix-socket inet-socket tcp-connection pty-master terminal".split(
    " ",
  ),
);
const OBJECTS = new Set(
  "path-file volatile-file carried-files unlinked-file memfd shared-anonymous pipe fifo gone-directory pty unix-connection cgroup-tree keyring".split(
    " ",
  ),
);
/** What needs a right of its own (sched(7)). */
const POLICIES = new Set(["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"]);
/** ioprio_set(2): the class for which CAP_SYS_ADMIN is asked. */
const IOPRIO_CLASS_RT = 1;
const IOPRIO_CLASS_SHIFT = 13;
/** SO_PRIORITY above this needs CAP_NET_ADMIN (socket(7)). */
const MOST_SOCKET_PRIORITY = 6;

const threadShape = v.looseObject({
  credentials: v.looseObject({
    uids: v.array(v.number()),
    gids: v.array(v.number()),
    groups: v.array(v.number()),
    inheritable: v.array(v.string()),
    permitted: v.array(v.string()),
    effective: v.array(v.string()),
    ambient: v.array(v.string()),
    securebits: v.number(),
    noNewPrivs: v.boolean(),
  }),
  scheduling: v.looseObject({ policy: v.string(), nice: v.number(), ioPriority: v.number() }),
  seccomp: v.optional(v.unknown()),
});
const resourcesShape = v.looseObject({
  attributes: v.looseObject({
    dumpable: v.number(),
    oomScoreAdj: v.number(),
    sessionNice: v.optional(v.number()),
  }),
  filesystemContext: v.looseObject({ root: v.unknown() }),
  namespaces: v.record(v.string(), v.unknown()),
});
const creatorShape = v.looseObject({ pid: v.number(), uid: v.number() });
const unixShape = v.looseObject({ listening: v.optional(v.looseObject({ creator: v.optional(creatorShape) })) });
const connectionShape = v.looseObject({ creators: v.optional(v.array(creatorShape)) });
const keyShape = v.looseObject({ uid: v.number() });
const keyringShape = v.looseObject({ uid: v.number(), keys: v.array(keyShape) });
const carriedShape = v.looseObject({
  entries: v.array(
    v.looseObject({ path: v.string(), type: v.string(), role: v.string(), uid: v.number(), gid: v.number() }),
  ),
});
const inetShape = v.looseObject({
  local: v.optional(v.looseObject({ port: v.optional(v.number()) })),
  options: v.optional(v.record(v.string(), v.unknown())),
});

/** All that stands in the way; empty when the set is the user's own. */
export function checkOwned(state: FrozenState, user: Identity): Refusal[] {
  return [...new Ownership(state, user).refusals()];
}

class Ownership {
  readonly #state: FrozenState;
  readonly #user: Identity;
  readonly #pids: ReadonlySet<number>;

  constructor(state: FrozenState, user: Identity) {
    this.#state = state;
    this.#user = user;
    this.#pids = new Set(state.processes.map(({ pid }) => pid));
  }

  *refusals(): Generator<Refusal> {
    for (const process of this.#state.processes) yield* this.#process(process);
    for (const [id, file] of Object.entries(this.#state.files)) yield* this.#file(id, file);
    for (const [id, object] of Object.entries(this.#state.objects)) {
      if (!OBJECTS.has(object.kind)) yield this.#refuse(`It holds ${id}, which is not for ordinary users.`);
      else if (object.kind === "keyring") yield* this.#keyring(id, object);
      else if (object.kind === "carried-files") yield* this.#carried(object);
      else if (object.kind === "unix-connection") yield* this.#creators(id, v.parse(connectionShape, object).creators);
    }
    if (this.#state.places) yield this.#refuse("It lives in a mount namespace of its own.");
  }

  *#process(process: FrozenProcess): Generator<Refusal> {
    const because = (why: string): Refusal => this.#refuse(why, process);
    if (process.inside ?? process.childrenNamespace) yield because("It lives in a pid namespace of its own.");
    if (!process.body) return;
    const { attributes, filesystemContext, namespaces } = v.parse(resourcesShape, process.body.resources);
    if (attributes.dumpable !== 1)
      yield because(
        "Its user may not look into it: it is, or was, a set-user-id program, or it asked for that (PR_SET_DUMPABLE).",
      );
    if (attributes.oomScoreAdj < 0) yield because("It is protected from the out-of-memory killer.");
    if ((attributes.sessionNice ?? 0) < 0) yield because("Its session has more weight than a user may give it.");
    if (filesystemContext.root !== "/") yield because("It has another root directory.");
    if (Object.values(namespaces).some((id) => id !== undefined)) yield because("It lives in namespaces of its own.");
    const { threads, endedLeader } = process.body;
    for (const thread of endedLeader ? [...threads, endedLeader] : threads) {
      const why = this.#thread(v.parse(threadShape, thread));
      if (why !== undefined) yield because(why);
    }
  }

  *#keyring(id: string, object: object): Generator<Refusal> {
    const { keys, ...ring } = v.parse(keyringShape, object);
    if ([ring, ...keys].some(({ uid }) => uid !== this.#user.uid))
      yield this.#refuse(`It holds ${id}, which is another user's.`);
  }

  /** Folders above may be anybody's: they are made with the user's rights, or not at all. */
  *#carried(object: object): Generator<Refusal> {
    const { uid, gid, groups } = this.#user;
    for (const entry of v.parse(carriedShape, object).entries) {
      if (entry.role === "above") continue;
      const device = entry.type === "S_IFCHR" || entry.type === "S_IFBLK";
      if (device || entry.uid !== uid || ![gid, ...groups].includes(entry.gid))
        yield this.#refuse(`It takes ${entry.path} along, which is not the user's.`);
    }
  }

  #thread({ credentials, scheduling, seccomp }: v.InferOutput<typeof threadShape>): string | undefined {
    const { uid, gid, groups } = this.#user;
    const allowed = new Set([gid, ...groups]);
    const { uids, gids, inheritable, permitted, effective, ambient } = credentials;
    const other = uids.find((id) => id !== uid);
    if (other !== undefined) return `It has the user id ${other}, and ${uid} asks.`;
    const group = [...gids, ...credentials.groups].find((id) => !allowed.has(id));
    if (group !== undefined) return `It is in group ${group}, and user ${uid} is not.`;
    const capability = [...inheritable, ...permitted, ...effective, ...ambient][0];
    if (capability !== undefined) return `It has ${capability}.`;
    if (credentials.securebits !== 0) return "It has securebits.";
    if (seccomp !== undefined && !credentials.noNewPrivs)
      return "It has a filter that somebody with more rights has set.";
    if (!POLICIES.has(scheduling.policy)) return `It is scheduled with ${scheduling.policy}.`;
    if (scheduling.nice < 0) return `It has the nice value ${scheduling.nice}.`;
    if (scheduling.ioPriority >> IOPRIO_CLASS_SHIFT === IOPRIO_CLASS_RT) return "It has a real-time I/O priority.";
    return undefined;
  }

  *#file(id: string, file: FrozenFile): Generator<Refusal> {
    if (!FILES.has(file.kind)) yield this.#refuse(`It has a file of the kind ${file.kind} open (${id}).`);
    if (file.net !== undefined || file.mnt !== undefined)
      yield this.#refuse("It has a file of another namespace open.");
    // The kernel remembers who asked for these signals; after a thaw that would be root.
    if (file.owner && !this.#ownsTarget(file.owner.pid))
      yield this.#refuse(`Signals of its file ${id} go to process ${file.owner.pid}, which is not one of the set.`);
    const setter = file.owner?.pid ? (file.owner.uids ?? []) : [this.#user.uid];
    if (setter.length === 0 || setter.some((uid) => uid !== this.#user.uid))
      yield this.#refuse(`Who asked for the signals of its file ${id} cannot be told, or is somebody else.`);
    if (file.kind === "device" && (file.state as { gone?: boolean } | null)?.gone)
      yield this.#refuse("It has a device open whose node is gone.");
    if (file.kind === "unix-socket") {
      const { listening } = v.parse(unixShape, file.state);
      if (listening) yield* this.#creators(id, listening.creator && [listening.creator]);
    }
    if (file.kind === "inet-socket" || file.kind === "tcp-connection") yield* this.#inet(id, file);
  }

  /** Process groups are told by negative numbers; only processes of the set are sure to be the user's. */
  #ownsTarget(pid: number): boolean {
    return pid === 0 || this.#pids.has(Math.abs(pid));
  }

  /** SO_PEERCRED is what others trust: nobody but the user may be seen as the maker of a socket. */
  *#creators(id: string, creators: readonly v.InferOutput<typeof creatorShape>[] | undefined): Generator<Refusal> {
    const own = creators?.every(({ pid, uid }) => uid === this.#user.uid && this.#pids.has(pid));
    if (!own) yield this.#refuse(`Who made the socket ${id} cannot be told, or is somebody else.`);
  }

  *#inet(id: string, file: FrozenFile): Generator<Refusal> {
    const { local, options = {} } = v.parse(inetShape, file.state);
    const port = local?.port ?? 0;
    if (port > 0 && port < firstFreePort())
      yield this.#refuse(`It uses the port ${port} (${id}), which is root's to give.`);
    const marked = Object.keys(options).find((name) => /MARK|TRANSPARENT/.test(name) && options[name] !== 0);
    if (marked !== undefined) yield this.#refuse(`Its socket ${id} has ${marked}.`);
    if (Number(options["SO_PRIORITY"] ?? 0) > MOST_SOCKET_PRIORITY)
      yield this.#refuse(`Its socket ${id} has a priority.`);
  }

  #refuse(why: string, process?: FrozenProcess): Refusal {
    const name = process ? `Process ${process.pid} (${process.command})` : "The set of processes";
    return new Refusal(
      "NOT_YOURS",
      { what: `${name} is not yours to freeze or thaw.`, why, remedy: "Ask root to do it." },
      process ? { pid: process.pid, command: process.command } : {},
    );
  }
}

function firstFreePort(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  } catch {
    return 1024;
  }
}
