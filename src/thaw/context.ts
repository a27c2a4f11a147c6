/** What the kinds of resource see of a thaw, and the list of what to undo should it fail. */
import { closeSync } from "node:fs";
import { later } from "../sys/namespaces.ts";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { type FileIdentity, identityOf, isSameFile } from "../sys/file-identity.ts";
import { fstat } from "../sys/stat.ts";
import { CLOCK } from "../abi/time.ts";
import { clockNow } from "../sys/time.ts";
import type { LocalFd } from "../lib/brand.ts";
import type { Rights } from "../sys/identity.ts";
import { Holders } from "./verify/holders.ts";
import type { Image } from "../image/read.ts";
import type { ObjectState } from "../resources/freeze-context.ts";
import type { Blob, ThawClocks, ThawContext, UserNamespaces } from "../resources/thaw-context.ts";
import { type Memo, Memory } from "../resources/memo.ts";
import { type Phase, PHASES } from "../resources/phases.ts";
import { objectKinds } from "../resources/registry.ts";
import type { Credentials } from "../resources/security/credentials.ts";
import { PlacedThaw } from "./placed-context.ts";
import { Defect, InconsistentImage } from "../errors/wrong-input.ts";
import { encoded } from "./verify/consistency.ts";

export class Thawing implements ThawContext, Disposable {
  readonly clocks: ThawClocks;
  readonly #image: Image;
  readonly #objects = new Map<string, unknown>();
  readonly #memory = new Memory<ThawContext>();
  readonly #undo: { what: string; action: () => void }[] = [];
  readonly #phases = new Map<Phase, (() => void)[]>(PHASES.map((phase) => [phase, []]));
  /** The first that is not over, by its place in PHASES. */
  #phase = 0;
  /** Opens a file of the set, or finds it open. */
  openFile: ((id: string) => LocalFd) | undefined;
  /** The processes that are being built. */
  readonly processes = new Map<number, NonNullable<ReturnType<ThawContext["process"]>>>();
  readonly #kept = new Set<LocalFd>();
  readonly #owned = new DisposableStack();

  /** Makes a process that stands for one that has ended. */
  withTemporaryProcess: ThawContext["standIn"] | undefined;
  readonly #inside = new Map<number, readonly number[]>();

  constructor(image: Image) {
    this.#image = image;
    this.#holders = new Holders(image.state);
    for (const { pid, pidNamespace: inside, body } of image.state.processes) {
      if (inside) this.#inside.set(pid, inside.pids);
      for (const { tid, tidsInNamespaces: tidsInside } of body?.threads ?? [])
        if (tidsInside) this.#inside.set(tid, tidsInside);
    }
    const { clocks } = image.state;
    this.clocks = {
      realtimeAtFreeze: BigInt(clocks.realtime),
      monotonicAtFreeze: BigInt(clocks.monotonic),
      boottimeAtFreeze: BigInt(clocks.boottime),
    };
  }

  readonly #holders: Holders;
  /** Whose rights count for what is opened now. */
  holders: readonly Rights[] = [];

  /** Runs `action`, which opens things for those that have an open file, by its id, or for a process. */
  openFor<T>(who: string | number, action: () => T): T {
    const rights = typeof who === "string" ? this.#holders.ofFile(who) : this.#holders.ofProcess(who);
    return this.#openAs(rights, action);
  }

  #openAs<T>(rights: readonly Rights[], action: () => T): T {
    const before = this.holders;
    this.holders = rights;
    try {
      return action();
    } finally {
      this.holders = before;
    }
  }

  /** What is done later is done for the same. */
  #later(action: () => void): () => void {
    const rights = this.holders;
    return later(() => this.#openAs(rights, action));
  }

  readonly #devices = new Set<string>();

  /** By device and inode. */
  readonly #made = new Map<string, FileIdentity>();

  noteMadeFile(made: LocalFd): void {
    const identity = identityOf(made);
    this.#made.set(`${identity.device} ${identity.inode}`, identity);
  }

  isMadeHere(found: LocalFd): boolean {
    const { device, inode } = fstat(found);
    if (this.#devices.has(device)) return true;
    const made = this.#made.get(`${device} ${inode}`);
    return made !== undefined && isSameFile(made, identityOf(found));
  }

  noteMade(device: string): void {
    this.#devices.add(device);
  }

  object<H>(id: string): H {
    if (!this.#objects.has(id)) {
      const state = this.#image.state.objects[id];
      const kind = objectKinds.find((candidate) => candidate.name === state?.kind);
      if (!state || !kind) throw new InconsistentImage(`the image has no object ${id}`);
      const placed = this.in(this.#image.state.mountNamespaceOf?.[id]);
      this.#objects.set(
        id,
        encoded(kind.name, () => kind.thaw(state, placed)),
      );
    }
    return this.#objects.get(id) as H;
  }

  memo<T>(memo: Memo<T, ThawContext>): T {
    return this.#memory.get(memo, this);
  }

  /** How an object stands in the image. */
  stateOf(id: string): ObjectState {
    const state = this.#image.state.objects[id];
    if (!state) throw new InconsistentImage(`the image has no object ${id}`);
    return state;
  }

  /** Whose rights the first thread of a process has. */
  credentialsOf(pid: number): Credentials | undefined {
    const body = this.#image.state.processes.find((process) => process.pid === pid)?.body;
    return body?.threads[0]?.credentials;
  }

  /** Whether an object has been made. */
  has(id: string): boolean {
    return this.#objects.has(id);
  }

  /** An object that came into being by the way. */
  adopt(id: string, handle: unknown): void {
    this.#objects.set(id, handle);
  }

  get hasUserNamespaces(): boolean {
    return Object.values(this.#image.state.objects).some(({ kind }) => kind === "user-namespace");
  }

  get userNamespaces(): UserNamespaces {
    if (!this.#userNamespaces) throw new Defect("a user namespace is wanted before there are processes");
    return this.#userNamespaces;
  }

  set userNamespaces(userNamespaces: UserNamespaces) {
    this.#userNamespaces = userNamespaces;
  }

  #userNamespaces: UserNamespaces | undefined;

  /** Paths lead where the machine's do. */
  readonly mounts = OWN_VIEW;

  in(place: string | undefined): ThawContext {
    return place === undefined ? this : new PlacedThaw(this, place);
  }

  /** The ids of a process or thread in pid namespaces below ours, outermost first. */
  idsInside(id: number): readonly number[] {
    return this.#inside.get(id) ?? [];
  }

  openBlob(name: string): Blob {
    return this.#image.files.open(name);
  }

  blob(name: string): Buffer {
    return this.#image.files.bytes(name);
  }

  undo(what: string, action: () => void): void {
    this.#undo.push({ what, action: this.#later(action) });
  }

  /** Disposes of it when the thaw has ended, whichever way. */
  own<T extends Disposable>(resource: T): T {
    return this.#owned.use(resource);
  }

  keep(fd: LocalFd): LocalFd {
    this.#kept.add(fd);
    return fd;
  }

  file(id: string): LocalFd {
    if (!this.openFile) throw new Defect(`file ${id} is wanted before files are opened`);
    return this.openFile(id);
  }

  standIn<T>(relative: number, id: number | undefined, use: (pid: number) => T): T {
    if (!this.withTemporaryProcess) throw new Defect("a stand-in is wanted before the processes stand");
    return this.withTemporaryProcess(relative, id, use);
  }

  process(pid: number): ReturnType<ThawContext["process"]> {
    return this.processes.get(pid);
  }

  /** What a person should know of this thaw. */
  readonly notes: string[] = [];

  note(text: string): void {
    // Several namespaces may lack the same.
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  during(phase: Phase, action: () => void): void {
    const wanted = PHASES[Math.max(PHASES.indexOf(phase), this.#phase)];
    if (wanted === undefined) throw new Defect(`something is to be done in the phase ${phase} when all are over`);
    this.#actionsOf(wanted).push(this.#later(action));
  }

  /** Does what was said of these phases. An action may open something, and so have more to be done. */
  run(...phases: readonly Phase[]): void {
    for (const phase of phases) {
      this.#phase = PHASES.indexOf(phase);
      const actions = this.#actionsOf(phase);
      for (let action = actions.shift(); action; action = actions.shift()) action();
      this.#phase += 1;
    }
  }

  #actionsOf(phase: Phase): (() => void)[] {
    return this.#phases.get(phase) as (() => void)[];
  }

  /** Time that has passed on the processes' monotonic clock since the freeze, because building took a while. */
  get lateness(): bigint {
    return clockNow(CLOCK.CLOCK_MONOTONIC) - this.#clockBase;
  }

  #clockBase = clockNow(CLOCK.CLOCK_MONOTONIC);

  /** The machine's clocks at the moment from which on those of the set go on. Starts {@link lateness}. */
  startClocks(): { monotonic: bigint; boottime: bigint } {
    this.#clockBase = clockNow(CLOCK.CLOCK_MONOTONIC);
    return { monotonic: this.#clockBase, boottime: clockNow(CLOCK.CLOCK_BOOTTIME) };
  }

  /** Takes back whatever was made, in reverse order. Goes on when a step fails: the others must still be undone. */
  rollBack(): void {
    for (const { action } of this.#undo.splice(0).toReversed()) {
      try {
        action();
      } catch {
        // What cannot be undone is gone already.
      }
    }
  }

  /** From now on nothing is taken back. */
  commit(): void {
    this.#undo.length = 0;
  }

  /** Closes our descriptors of what the processes hold: a pipe without a reader must not have one in us. */
  closeKept(): void {
    for (const fd of this.#kept) closeSync(fd);
    this.#kept.clear();
  }

  [Symbol.dispose](): void {
    this.rollBack();
    this.closeKept();
    this.#owned.dispose();
  }
}
