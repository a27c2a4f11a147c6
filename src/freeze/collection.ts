/** What looking collects for the whole set, and what is to be done before and after the end of its processes. */
import { closeSync } from "node:fs";
import type { Identity } from "../abi/identity.ts";
import { later } from "../abi/namespaces.ts";
import { mountIdOf } from "../abi/stat.ts";
import { CLOCK, clockNow } from "../abi/time.ts";
import type { LocalFd } from "../lib/brand.ts";
import type { Refusal } from "../lib/errors.ts";
import { lookOutside, type Outside } from "../proc/outside.ts";
import type { BlobSource, FreezeContext, ObjectState, OpenFile, Settling } from "../resources/contract.ts";
import { FileTable } from "./descriptors.ts";
import type { LookOptions } from "./look-options.ts";
import { Places } from "./places.ts";

export interface Collected {
  readonly objects: Readonly<Record<string, ObjectState>>;
  /** The mount namespaces of objects. */
  readonly places: Readonly<Record<string, string>>;
  readonly blobs: ReadonlyMap<string, BlobSource>;
  readonly refusals: Refusal[];
  readonly notes: readonly string[];
  /** What passes by itself when the programs go on for a moment. */
  readonly restless: readonly (() => Settling)[];
}

/** Holds our duplicates of the set's files until the freeze has ended. */
export class Collection implements FreezeContext, Disposable {
  readonly pids: ReadonlySet<number>;
  readonly #objects = new Map<string, ObjectState>();
  readonly #blobs = new Map<string, BlobSource>();
  readonly #refusals: Refusal[] = [];
  readonly #notes: string[] = [];
  readonly #restless: (() => Settling)[] = [];
  readonly #kept: LocalFd[] = [];
  protected clocksReadAt = 0n;
  protected readonly files: FileTable;
  protected readonly places: Places;
  /** The mount namespaces of objects. */
  readonly #placesOf: Record<string, string> = {};
  readonly #beforeKill: (() => () => void)[] = [];
  readonly #toldAtKill: LocalFd[] = [];
  readonly #afterKill: (() => void)[] = [];
  readonly #atRelease: (() => void)[] = [];
  readonly user: Identity | undefined;
  readonly closeExternal: boolean;
  readonly ends: boolean;
  readonly outside: Outside;

  constructor(pids: ReadonlySet<number>, { closeExternal = false, end = "resume", user, outside }: LookOptions = {}) {
    this.outside = outside ?? lookOutside(pids);
    this.closeExternal = closeExternal;
    this.user = user;
    this.ends = end !== "resume";
    this.pids = pids;
    this.places = new Places(this);
    this.files = new FileTable(this, this.places);
  }

  object(id: string, make: () => ObjectState): string {
    if (!this.#objects.has(id)) {
      const made = make();
      this.#objects.set(id, made);
      // Namespaces have no path, and the file systems of a mount namespace come before it.
      if (
        this.places.now !== undefined &&
        !/(-namespace|^file-system|^removed-source|^detached-mount)$/.test(made.kind)
      )
        this.#placesOf[id] = this.places.now;
    }
    return id;
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

  placeOf(pid: number, via: string): string | undefined {
    return this.places.nameAt(pid, mountIdOf(via));
  }

  within<T>(place: string | undefined, action: () => T): T {
    return this.places.within(place, action);
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

  /** Nanoseconds since the image's clocks were read. */
  get elapsed(): bigint {
    return clockNow(CLOCK.CLOCK_MONOTONIC) - this.clocksReadAt;
  }

  /** All that has been found so far. */
  protected get collected(): Collected {
    return {
      objects: Object.fromEntries(this.#objects),
      places: this.#placesOf,
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
