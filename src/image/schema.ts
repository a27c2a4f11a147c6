/** The shape of state.json. One place puts together what the kinds of resource say of themselves. */
import * as v from "valibot";
import {
  fileKinds,
  objectKinds,
  processResources,
  type ProcessStates,
  threadResources,
  type ThreadStates,
} from "../resources/registry.ts";
import { locksSchema } from "../resources/file/locks.ts";
import { ownerSchema } from "../resources/file/signal-owner.ts";
import { controllingTerminalSchema } from "../resources/tty/controlling-terminal.ts";
import { endedLeaderSchema } from "../resources/thread/ended-leader.ts";
import { unsharedSchema } from "../resources/thread/unshared.ts";
import { SHARES, type Share } from "./clone-plan.ts";
import { mappingsSchema } from "../resources/memory/mappings.ts";
import { vdsoSchema } from "../resources/memory/vdso.x86_64.ts";
import { FORMAT_VERSION } from "./version.ts";

const nanoseconds = v.pipe(v.string(), v.regex(/^-?\d+$/));

/** The schemas of kinds whose states are `S`, by the names of the kinds. */
function schemasByName<S extends object>(
  kinds: readonly { readonly name: string; readonly schema: v.GenericSchema }[],
): { [N in keyof S]: v.GenericSchema<S[N]> } {
  const entries = Object.fromEntries(kinds.map((kind) => [kind.name, kind.schema]));
  return entries as { [N in keyof S]: v.GenericSchema<S[N]> };
}

const threadSchema = v.strictObject({
  tid: v.number(),
  /** Its id in each pid namespace below kmonte's, outermost first. */
  tidsInNamespaces: v.optional(v.array(v.number())),
  /** What it does not share with the first thread. */
  unshared: v.optional(unsharedSchema),
  ...schemasByName<ThreadStates>(threadResources),
});

const descriptorSchema = v.strictObject({ fd: v.number(), file: v.string(), closeOnExec: v.boolean() });

const bodySchema = v.strictObject({
  threads: v.array(threadSchema),
  /** The thread that the process is called after, when it has ended before the others. */
  endedLeader: v.optional(endedLeaderSchema),
  descriptors: v.array(descriptorSchema),
  mappings: mappingsSchema,
  vdso: vdsoSchema,
  resources: v.strictObject(schemasByName<ProcessStates>(processResources)),
});

const sharesSchema = v.strictObject(
  Object.fromEntries(SHARES.map((share) => [share, v.optional(v.number())])) as Record<
    Share,
    v.OptionalSchema<v.NumberSchema<undefined>, undefined>
  >,
);

const processSchema = v.strictObject({
  pid: v.number(),
  ppid: v.number(),
  pgid: v.number(),
  sid: v.number(),
  command: v.string(),
  /** What the ids are in pid namespaces below kmonte's (pid_namespaces(7)), one per level, outermost first. */
  pidNamespace: v.optional(
    v.strictObject({
      /** The innermost. */
      namespace: v.string(),
      pids: v.array(v.number()),
      /** 0 for a group or session of the outside. */
      pgids: v.array(v.number()),
      sids: v.array(v.number()),
      /** The user namespaces that own them, as objects; "" for that of kmonte. Absent when all are its. */
      owners: v.optional(v.array(v.string())),
    }),
  ),
  /** The pid namespace that its children are cloned into, when it is another than its own. */
  pidNamespaceForChildren: v.optional(v.string()),
  /** Its time namespace, by its name among the clocks; absent: the first process's. */
  timeNamespace: v.optional(v.string()),
  /** The time namespace that its children are cloned into, when it is another than its own. */
  timeNamespaceForChildren: v.optional(v.string()),
  /** The signal that the parent gets when the process ends; SIGCHLD as a rule, 0 for none. */
  exitSignal: v.number(),
  /** A process in a group stop (state T) and the signal that stopped it. */
  stopped: v.optional(v.string()),
  /** What its parent could still wait for: that it stopped, or went on (WUNTRACED, WCONTINUED of wait(2)). */
  waitable: v.optional(v.picklist(["stopped", "continued"])),
  /** Status word of wait(2) and real user, for a process that has ended and was not waited for. */
  zombie: v.optional(v.strictObject({ status: v.number(), uid: v.optional(v.number()) })),
  /** The terminal of the session that the process leads. */
  controllingTerminal: v.optional(controllingTerminalSchema),
  /**
   * What it shares with other processes though it is no thread of theirs (clone(2)), with the one of them that holds
   * the state of it.
   */
  shares: v.optional(sharesSchema),
  /** Everything that a living process has; absent for zombies. */
  body: v.optional(bodySchema),
});

const fileSchema = v.strictObject({
  kind: v.picklist(fileKinds.map((kind) => kind.name)),
  /** Access mode and status flags, O_… names joined by |. */
  flags: v.string(),
  /** File position in bytes, decimal. */
  position: v.string(),
  /** Who gets SIGIO (fcntl(2), F_SETOWN_EX). */
  signalOwner: v.optional(ownerSchema),
  /** Locks that belong to the open file; those of fcntl(2), F_SETLK, belong to a process. */
  locks: v.optional(locksSchema),
  /** The network namespace that a socket belongs to, when it is one of the set's own. */
  net: v.optional(v.string()),
  /** The mount namespace in which its path leads to it, when it is one of the set's own. */
  mnt: v.optional(v.string()),
  state: v.unknown(),
});

export const stateSchema = v.strictObject({
  format: v.literal(FORMAT_VERSION),
  clocks: v.strictObject({
    /** CLOCK_REALTIME when the last thread had stopped, nanoseconds since the epoch. */
    realtime: nanoseconds,
    /** CLOCK_MONOTONIC and CLOCK_BOOTTIME as the processes read them. */
    monotonic: nanoseconds,
    boottime: nanoseconds,
    /** The same of further time namespaces, by name. */
    timeNamespaces: v.optional(v.record(v.string(), v.strictObject({ monotonic: nanoseconds, boottime: nanoseconds }))),
  }),
  /** Parents before children. */
  processes: v.array(processSchema),
  /** Open file descriptions by id. */
  files: v.record(v.string(), fileSchema),
  /** What files and mappings share: contents, pipes … */
  objects: v.record(v.string(), v.looseObject({ kind: v.picklist(objectKinds.map((kind) => kind.name)) })),
  /** The mount namespaces in which objects are found by their paths, by the ids of both; all others are the machine's. */
  mountNamespaceOf: v.optional(v.record(v.string(), v.string())),
});

export type FrozenState = v.InferOutput<typeof stateSchema>;
export type FrozenProcess = v.InferOutput<typeof processSchema>;
export type FrozenBody = v.InferOutput<typeof bodySchema>;
export type FrozenFile = v.InferOutput<typeof fileSchema>;
export type FrozenDescriptor = v.InferOutput<typeof descriptorSchema>;
