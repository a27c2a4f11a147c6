/** What looking collects for the whole set, and what is to be done before and after the end of its processes. */
import { closeSync } from "node:fs";
import type { Identity } from "../../sys/identity.ts";
import { type OwnPath, OWN_VIEW } from "../../sys/mount-view.ts";
import { later } from "../../sys/namespaces.ts";
import { mountIdOf } from "../../sys/stat.ts";
import { CLOCK } from "../../abi/time.ts";
import { clockNow } from "../../sys/time.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import type { Refusal } from "../../errors/failure.ts";
import { lookOutside, type Outside } from "../../proc/outside.ts";
import type { BlobSource, FreezeContext, ObjectState, OpenFile, Settling } from "../../resources/freeze-context.ts";
import { objectKinds } from "../../resources/registry.ts";
import { type Memo, Memory } from "../../resources/memo.ts";
import { FileTable } from "./file-table.ts";
import type { LookOptions } from "./options.ts";
import { MountViews } from "./mount-views.ts";
import { PlacedFreeze } from "./placed-context.ts";

export interface Collected {
  readonly objects: Readonly<Record<string, ObjectState>>;
  /** The mount namespaces of objects. */
  readonly mountNamespaceOf: Readonly<Record<string, string>>;
  readonly blobs: ReadonlyMap<string, BlobSource>;
  readonly refusals: Refusal[];
  readonly notes: readonly string[];
  /** What passes by itself when the programs go on for a moment. */
  readonly restless: readonly (() => Settling)[];
}

function hasPath({ kind }: ObjectState): boolean {
  return objectKinds.find(({ name }) => name === kind)?.hasPath !== false;
}

/** Holds our duplicates of the set's files until the freeze has ended. */
export class Freezing implements FreezeContext, Disposable {
  readonly pids: ReadonlySet<number>;
  readonly tasks: ReadonlyMap<number, Task>;
  readonly #objects = new Map<string, ObjectState>();
  readonly #memory = new Memory<FreezeContext>();
  readonly #blobs = new Map<string, BlobSource>();
  readonly #refusals: Refusal[] = [];
  readonly #notes: string[] = [];
  readonly #restless: (() => Settling)[] = [];
  readonly #kept: LocalFd[] = [];
  #clocksReadAt = 0n;
  /** The open files of the set. */
  readonly files: FileTable;
  /** Where paths lead that its processes have. */
  readonly mountViews: MountViews;
  /** The mount namespaces of objects. */
  readonly #mountNamespaceOf: Record<string, string> = {};
  readonly #beforeKill: (() => () => void)[] = [];
  readonly #toldAtKill: LocalFd[] = [];
  readonly #afterKill: (() => void)[] = [];
  readonly #atRelease: (() => void)[] = [];
  readonly user: Identity | undefined;
  readonly closeExternal: boolean;
  readonly ends: boolean;
  readonly outside: Outside;

  constructor(
    tasks: ReadonlyMap<number, Task>,
    { closeExternal = false, end = "resume", user, outside }: LookOptions = {},
  ) {
    this.outside = outside ?? lookOutside(tasks.keys());
    this.closeExternal = closeExternal;
    this.user = user;
    this.ends = end !== "resume";
    this.pids = new Set(tasks.keys());
    this.tasks = tasks;
    this.mountViews = new MountViews(this);
    this.files = new FileTable(this, this.mountViews);
  }

  object(id: string, make: () => ObjectState): string {
    return this.objectIn(undefined, id, make);
  }

  /** Notes an object that belongs to a mount namespace, or to ours. */
  objectIn(place: string | undefined, id: string, make: () => ObjectState): string {
    if (!this.#objects.has(id)) {
      const made = make();
      this.#objects.set(id, made);
      if (place !== undefined && hasPath(made)) this.#mountNamespaceOf[id] = place;
    }
    return id;
  }

  memo<T>(memo: Memo<T, FreezeContext>): T {
    return this.#memory.get(memo, this);
  }

  blob(name: string, source: BlobSource): string {
    const file = `${name.replaceAll(/[^\w.-]+/g, "-")}.blob`;
    this.#blobs.set(file, source);
    return file;
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  refuse(refusal: Refusal): void {
    this.#refusals.push(refusal);
  }

  restless(begin: () => Settling): void {
    this.#restless.push(later(begin));
  }

  has(id: string): boolean {
    return this.#objects.has(id);
  }

  placeOf(task: Task, via: OwnPath): string | undefined {
    return this.mountViews.nameAt(task, mountIdOf(via));
  }

  readonly place = undefined;
  readonly mounts = OWN_VIEW;

  in(place: string | undefined): FreezeContext {
    return place === undefined ? this : new PlacedFreeze(this, place);
  }

  keep(fd: LocalFd): LocalFd {
    this.#kept.push(fd);
    return fd;
  }

  fileId(pid: number, fd: number): string | undefined {
    return this.files.idOf(pid, fd);
  }

  openFiles(): readonly (readonly [id: string, file: OpenFile])[] {
    return this.files.all;
  }

  addInFlight(local: LocalFd, holder: OpenFile): string {
    return this.files.addLocal(this.keep(local), holder);
  }

  beforeKill(action: () => () => void): void {
    this.#beforeKill.push(later(() => later(action())));
  }

  tellAtKill(pipe: LocalFd): void {
    this.#toldAtKill.push(pipe);
  }

  afterKill(action: () => void): void {
    this.#afterKill.push(later(action));
  }

  atRelease(action: () => void): void {
    this.#atRelease.push(later(action));
  }

  /** Runs what must come right before the end of the processes; `end` ends them and tells `told` in the same step. If it fails, all is taken back. */
  ending(end: (told: readonly LocalFd[]) => void): void {
    const back: (() => void)[] = [];
    try {
      for (const action of this.#beforeKill) back.push(action());
      end(this.#toldAtKill);
    } catch (error) {
      for (const action of back.toReversed()) action();
      throw error;
    }
    this.#atRelease.length = 0;
    for (const action of this.#afterKill) action();
  }

  /** The clocks that stand in the image are read now: they run on while we look. */
  startClocks(): void {
    this.#clocksReadAt = clockNow(CLOCK.CLOCK_MONOTONIC);
  }

  /** Nanoseconds since the image's clocks were read. */
  get elapsed(): bigint {
    return clockNow(CLOCK.CLOCK_MONOTONIC) - this.#clocksReadAt;
  }

  /** All that has been found so far. */
  get collected(): Collected {
    return {
      objects: Object.fromEntries(this.#objects),
      mountNamespaceOf: this.#mountNamespaceOf,
      blobs: this.#blobs,
      refusals: this.#refusals,
      notes: this.#notes,
      restless: this.#restless,
    };
  }

  /** Our duplicates go, and with them whatever was done to the set for the time of the freeze. */
  [Symbol.dispose](): void {
    for (const action of this.#atRelease.splice(0).toReversed()) action();
    for (const fd of this.#kept) closeSync(fd);
    this.#kept.length = 0;
  }
}
