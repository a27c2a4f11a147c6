/**
 * The freeze as a transaction: stop, look, write, read back, and only then let go or kill. Runs on one thread from
 * beginning to end, because a tracee belongs to the thread that seized it.
 */
import type { Task } from "../lib/brand.ts";
import type { FreezeRequest } from "../lib/requests.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError, Refusal, RefusalList } from "../errors/failure.ts";
import type { TimedStep } from "../lib/progress.ts";
import type { Watcher } from "../lib/watcher.ts";
import { asUser, type Identity } from "../sys/identity.ts";
import { CLOCK } from "../abi/time.ts";
import { clockNow } from "../sys/time.ts";
import { parseRecipient } from "../image/encryption/age-keys.ts";
import { machineKey } from "../image/trust/keys.ts";
import { bytesIn } from "../resources/memory/pages.ts";
import { buildHeader, extentsOf, planSegments } from "../image/core/file.ts";
import { buildNotes } from "../image/core/notes.ts";
import { STATE } from "../image/manifest.ts";
import type { FrozenProcess, FrozenState } from "../image/schema.ts";
import { invalidPart } from "../image/valid-state.ts";
import { checkTarget, ImageWriter } from "../image/write.ts";
import { ChunkPool } from "../image/chunks/pool.ts";
import { networkUses } from "../image/kinds.ts";
import { networkNeeds, type NetworkNeeds } from "../resources/socket/quarantine/network-needs.ts";
import { lookOutside } from "../proc/outside.ts";
import { admitting, refuseForeign } from "./stop/admission.ts";
import { describeForCore } from "./write/core-description.ts";
import { Quiesce, passing } from "./retry/quiesce.ts";
import { dumpMemory } from "./write/dump.ts";
import { endedAmong, withEnded } from "./stop/killed-meanwhile.ts";
import { idsInUse } from "./inspect/ids.ts";
import { Freezing } from "./inspect/context.ts";
import { Look, type Findings } from "./inspect/look.ts";
import type { Move } from "../tracee/end-all.x86_64.ts";
import { type HeldNeed, needsOf } from "./check/kernel-needs.ts";
import { pauseAfter } from "./retry/retry.ts";
import { memoryToWrite, worthCopying } from "./write/memory-size.ts";
import { PreCopy } from "./write/pre-copy.ts";
import { checkRoots } from "./stop/roots.ts";
import { type StoppedProcess, StoppedSet } from "./stop/stopped-set.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";

export interface FreezeJob extends FreezeRequest {
  /** The ordinary user on whose behalf it is done. */
  readonly user?: Identity | undefined;
}

/** A process that was frozen. */
export interface FrozenMember {
  readonly pid: number;
  readonly command: string;
  /** When its first thread stood still, in milliseconds since the epoch (CLOCK_REALTIME). */
  readonly stoppedAt: number;
}

export interface FreezeOutcome {
  readonly directory: string;
  readonly processes: FrozenMember[];
  readonly steps: TimedStep[];
  /** Bytes of memory that were written. */
  readonly bytes: number;
  /** Things that a person should know, though they stopped nothing. */
  readonly notes: readonly string[];
  /** For whoever changes the kernel while the set is held. */
  readonly network: NetworkNeeds;
  /** What a kernel must have been built with to take them. */
  readonly needs: readonly HeldNeed[];
}

/** What can be refused before anything is looked at. */
export function checkJob({ pids, directory, encryptTo = [], user }: FreezeJob): void {
  for (const recipient of encryptTo) checkRecipient(recipient);
  checkRoots(pids);
  asUser(user, () => checkTarget(directory));
  // A key that cannot be used is found now, and not when everything has stood still for the writing.
  machineKey();
}

function checkRecipient(text: string): void {
  try {
    parseRecipient(text);
  } catch (cause) {
    throw failures.NOT_A_KEY.recipient({ text, cause });
  }
}

/** A freeze that has come to its end but for the processes, which stand still when `end` was `hold`. */
export class Freeze {
  readonly #job: FreezeJob;
  readonly #watcher: Watcher;
  readonly #steps: TimedStep[] = [];
  #set: StoppedSet | undefined;
  /** What was found, with our duplicates of the set's files: they are needed until the processes' end. */
  #context: Freezing | undefined;
  #bytes = 0;
  #notes: readonly string[] = [];
  #network: NetworkNeeds = { needs: [], quarantine: "", plainQuarantine: "", connections: [] };
  #needs: readonly HeldNeed[] = [];
  #pool: ChunkPool | undefined;
  #writer: ImageWriter | undefined;
  #copies: PreCopy | undefined;
  /** From a look that came at a bad moment until the next one. */
  #moment: Quiesce | undefined;
  /** Who was killed while standing still. */
  readonly #ended = new Set<string>();

  constructor(job: FreezeJob, watcher: Watcher) {
    this.#job = job;
    this.#watcher = watcher;
  }

  run(): FreezeOutcome {
    checkJob(this.#job);
    const large = worthCopying(this.#job.pids);
    // Started before anything stops: threads take a while to come up.
    using pool = large.length > 0 ? new ChunkPool() : undefined;
    this.#pool = pool;
    using writer = pool && this.#mayCopyAhead ? this.#openWriter() : undefined;
    using copies = pool && writer && new PreCopy(writer, pool);
    this.#writer = writer;
    this.#copies = copies;
    if (copies) this.#step("copy", () => this.#copyAhead(copies, large));
    const before = this.#steps.length;
    try {
      for (let tries = 0; ; tries += 1) {
        try {
          return this.#freezeNow(tries);
        } catch (error) {
          const pause = error instanceof KmonteError ? pauseAfter(partsOf(error), tries) : undefined;
          if (pause === undefined) throw error instanceof KmonteError ? withEnded(error, this.#ended) : error;
          this.#steps.length = before;
          if (this.#moment) this.#moment.wait(pause);
          else sleepMicroseconds(pause * 1000);
          this.#checkAborted();
        }
      }
    } finally {
      this.#newMoment(undefined);
    }
  }

  #freezeNow(tries: number): FreezeOutcome {
    this.#context = undefined;
    const outside = lookOutside(this.#job.pids);
    const set = this.#step("stop", () => StoppedSet.stop(this.#job.pids, admitting(this.#job.user)));
    this.#set = set;
    try {
      const processes = [...set.processes.values()].map(memberOf);
      const context = new Freezing(set.tasks, { ...this.#job, outside });
      this.#context = context;
      this.#writeImage(new Look(context, set, this.#job.carry), tries);
      if (this.#job.end === "resume") this.#step("resume", () => this.release());
      return {
        directory: this.#job.directory,
        processes,
        steps: this.#steps,
        bytes: this.#bytes,
        notes: this.#notes,
        network: this.#network,
        needs: this.#needs,
      };
    } catch (error) {
      for (const one of endedAmong(set.processes.values())) this.#ended.add(one);
      this.release();
      throw error;
    }
  }

  /** Lets the processes of a `hold` go on. */
  release(): void {
    try {
      this.#context?.[Symbol.dispose]();
    } finally {
      this.#set?.release();
    }
  }

  /** Ends the processes; with `move`, the image gets its name in the same step, and if it cannot, nobody is ended. */
  kill(move?: Move): void {
    this.#context?.ending((told) => this.#set?.kill(move, told));
    this.#context?.[Symbol.dispose]();
  }

  /** Where nothing but the moment is a bad one, what is restless is kept from going on like that until the next look. */
  #beCalm({ restless, refusals }: Findings, tries: number): void {
    const again = restless.length > 0 && pauseAfter(refusals, tries) !== undefined;
    this.#newMoment(again ? new Quiesce(restless) : undefined);
    if (again && refusals.length === 0) throw passing();
  }

  #newMoment(moment: Quiesce | undefined): void {
    const last = this.#moment;
    this.#moment = moment;
    last?.[Symbol.dispose]();
  }

  #writeImage(look: Look, tries: number): void {
    const findings = this.#step("look", () => look.run());
    this.#notes = findings.notes;
    findings.refusals.push(...refuseForeign(findings.state, this.#job.user));
    this.#beCalm(findings, tries);
    if (findings.refusals.length > 0) throw refusalOf(findings.refusals);
    look.readForImage();
    this.#needs = needsOf(findings.state);
    this.#network = networkNeeds(networkUses(findings.state));
    const wrong = invalidPart(findings.state);
    // No thaw would take it: better now, while the processes are there.
    if (wrong !== undefined) throw failures.STATE_INVALID({ wrong });
    this.#checkAborted();
    // One that is there already goes with the one who opened it.
    using opened = this.#writer ? undefined : this.#openWriter();
    const writer = (opened ?? this.#writer) as ImageWriter;
    this.#step("write", () => this.#writeFiles(writer, findings));
    this.#checkAborted();
    this.#step("commit", () => writer.seal());
    this.#checkAborted();
    // Either the processes live or the image is there: whoever kills kmonte between the two finds one of them.
    if (this.#job.end === "kill") {
      this.#step("kill", () => writer.publish((move) => this.kill(move)));
      this.#notes = [...this.#notes, ...idsInUse(findings.state.processes)];
    } else writer.publish();
  }

  #openWriter(): ImageWriter {
    return new ImageWriter(this.#job.directory, {
      pool: this.#pool,
      user: this.#job.user,
      expiresAt: this.#job.expiresAt,
      recipients: this.#job.encryptTo?.map(parseRecipient),
    });
  }

  /** What is encrypted is written in one go, and nobody's memory is read for a user before it is known to be theirs. */
  get #mayCopyAhead(): boolean {
    return this.#job.user === undefined && (this.#job.encryptTo ?? []).length === 0;
  }

  #copyAhead(copies: PreCopy, pids: readonly number[]): void {
    const { total } = memoryToWrite(pids);
    copies.run(pids, (bytes) => {
      this.#bytes += bytes;
      // What has changed meanwhile is copied once more.
      this.#watcher.report({ step: "copy", done: Math.min(this.#bytes, total), total });
      this.#checkAborted();
    });
    this.#bytes = 0;
  }

  #writeFiles(writer: ImageWriter, findings: Findings): void {
    for (const [name, source] of findings.blobs) writer.blob(name, source);
    writer.json(STATE, findings.state);
    for (const process of findings.state.processes) {
      // One core file to an address space.
      const { pid, body, shares } = process;
      if (body && (shares?.memory ?? pid) === pid) this.#writeCore(writer, process, findings.state);
    }
    this.#copies?.rejectRest();
  }

  #writeCore(writer: ImageWriter, process: FrozenProcess, state: FrozenState): void {
    const { pid } = process;
    const task = this.#set?.tasks.get(pid) as Task;
    const mappings = process.body?.mappings ?? [];
    const notes = buildNotes(describeForCore(process, task, state));
    const total = bytesIn(mappings);
    const detail = `${process.command} (${pid})`;
    this.#bytes += total;
    let done = 0;
    const onBytes = (bytes: number): void => {
      done = Math.min(done + bytes, total);
      this.#watcher.report({ step: "write", detail, done, total });
      this.#checkAborted();
    };
    if (this.#copies?.finish({ pid, task }, mappings, notes, onBytes)) return;
    const segments = planSegments(mappings, notes.length);
    const extents = mappings.flatMap((mapping) => extentsOf(mapping, segments));
    const header = buildHeader(segments, notes);
    const size = extents.reduce((most, { offset, length }) => Math.max(most, offset + length), header.length);
    writer.file(`${pid}.core`, size, (out) => {
      out.put(header, 0);
      dumpMemory(task, extents, out, onBytes);
    });
  }

  #step<T>(step: string, action: () => T): T {
    this.#watcher.report({ step });
    const start = Date.now();
    try {
      return action();
    } finally {
      this.#steps.push({ step, start, end: Date.now() });
    }
  }

  #checkAborted(): void {
    if (this.#watcher.aborted()) {
      throw failures.INTERRUPTED.freeze();
    }
  }
}

function memberOf({ pid, stat, threads }: StoppedProcess): FrozenMember {
  const now = clockNow(CLOCK.CLOCK_MONOTONIC);
  // One that has ended stands still from now on at the latest.
  const first = threads.reduce((least, { stoppedAt }) => (stoppedAt < least ? stoppedAt : least), now);
  return { pid, command: stat.comm, stoppedAt: Date.now() - Number((now - first) / 1_000_000n) };
}

function partsOf(error: KmonteError): readonly KmonteError[] {
  return error instanceof RefusalList ? error.refusals : [error];
}

function refusalOf(refusals: readonly Refusal[]): KmonteError {
  if (refusals.length === 1) return refusals[0] as Refusal;
  return failures.CANNOT_FREEZE({ refusals });
}
