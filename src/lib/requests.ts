/**
 * What can be asked of kmonte, each with one schema: the command line fills it in, the library checks it, the threads
 * that do the work get it as it is, and the service (daemon/protocol.ts) takes the part of it that is for users.
 */
import * as v from "valibot";
import { failures } from "../errors/catalogue.ts";

const flag = v.optional(v.boolean());
const strings = v.pipe(v.array(v.string()), v.readonly());
const pids = v.pipe(v.array(v.number()), v.readonly());

/** How processes are looked at, for a freeze as for a check. */
const look = {
  /** Each process is taken with all its threads and all its descendants. */
  pids,
  /**
   * Connections (TCP, unix sockets) to processes of this machine that stay outside come back as if those had ended.
   * Peers on other machines and in other network namespaces stay connected.
   */
  closeExternal: flag,
  /**
   * Paths that come along as a whole where they would be gone after a boot (below /run, for example): folders with all
   * that is in them, files, links, FIFOs and socket names. They are made again before anything is opened.
   */
  carry: v.optional(strings),
};

export const checkRequest = v.strictObject(look);
export type CheckRequest = v.InferOutput<typeof checkRequest>;

export const freezeRequest = v.strictObject({
  ...look,
  /** Where the image goes: a directory that does not exist yet or is empty. It will be readable by its owner alone. */
  directory: v.string(),
  /**
   * What becomes of the processes when the image is complete, on disk and read back: they are ended (`kill`), go on
   * as if nothing had happened (`resume`), or stand still until {@link FrozenSet.release} or `kill` (`hold`). Should
   * this process end meanwhile, for whatever reason, a held set goes on.
   */
  end: v.picklist(["kill", "resume", "hold"]),
  /** From when on the image is refused, in milliseconds since the epoch; without it, never. */
  expiresAt: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8.64e15))),
  /** Keys of age (age1…) that the image is encrypted to: only who has one of the secret halves can thaw it. */
  encryptTo: v.optional(strings),
});
export type FreezeRequest = v.InferOutput<typeof freezeRequest>;

export const thawRequest = v.strictObject({
  /** The image: a directory that freeze has written. It stays, with a mark on it that says that it was thawed. */
  directory: v.string(),
  /**
   * Takes an image whoever wrote it. An image can become any process with any rights: only for those who know that
   * nobody else could have written or changed it.
   */
  unsigned: flag,
  /** Takes an image that has been thawed already: its processes go back to the moment of the freeze. */
  again: flag,
  /**
   * The program goes on in the session and terminal of this process, which becomes its parent and must wait for it.
   */
  shell: flag,
  /** Takes an image though this processor lacks features of the one that it comes from: programs that use them fail. */
  otherProcessor: flag,
  /**
   * Removes what the image holds when the processes have been seen running: memory has secrets. A mark stays, with which
   * it goes on refusing to be thawed a second time.
   */
  remove: flag,
  /** Key files that an encrypted image is opened with, beside the machine's own encryption key. */
  identities: v.optional(strings),
  /** Keys themselves, as their files have them. */
  keys: v.optional(strings),
});
export type ThawRequest = v.InferOutput<typeof thawRequest>;

/** Takes what a caller of the library asks for; throws a `KmonteError` (`BAD_OPTIONS`) at what is no such request. */
export function validRequest<S extends v.GenericSchema>(schema: S, request: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, request);
  if (result.success) return result.output;
  throw failures.BAD_OPTIONS({ issue: issueOf(result.issues[0]) });
}

/** The first thing that is wrong with a request, and where, without a full stop. */
export function issueOf(issue: v.BaseIssue<unknown>): string {
  return `${v.getDotPath(issue) ?? "It"}: ${issue.message}`;
}
