/** A freeze as the kinds of resource see it that look at what has paths of one mount namespace. */
import type { Identity } from "../../sys/identity.ts";
import type { MountView, OwnPath } from "../../sys/mount-view.ts";
import type { LocalFd, Pid, Task } from "../../lib/brand.ts";
import type { Refusal } from "../../errors/failure.ts";
import type { Outside } from "../../proc/outside.ts";
import type { BlobSource, FreezeContext, ObjectState, OpenFile, Settling } from "../../resources/freeze-context.ts";
import type { Memo } from "../../resources/memo.ts";
import type { Freezing } from "./context.ts";

export class PlacedFreeze implements FreezeContext {
  readonly #freeze: Freezing;
  readonly place: string | undefined;

  constructor(freeze: Freezing, place: string | undefined) {
    this.#freeze = freeze;
    this.place = place;
  }

  get mounts(): MountView {
    return this.#freeze.mountViews.viewOf(this.place);
  }

  in(place: string | undefined): FreezeContext {
    return this.#freeze.in(place);
  }

  object(id: string, make: () => ObjectState): string {
    return this.#freeze.objectIn(this.place, id, make);
  }

  has(id: string): boolean {
    return this.#freeze.has(id);
  }

  get elapsed(): bigint {
    return this.#freeze.elapsed;
  }

  get pids(): ReadonlySet<Pid> {
    return this.#freeze.pids;
  }

  get tasks(): ReadonlyMap<Pid, Task> {
    return this.#freeze.tasks;
  }

  memo<T>(memo: Memo<T, FreezeContext>): T {
    return this.#freeze.memo(memo);
  }

  placeOf(task: Task, via: OwnPath): string | undefined {
    return this.#freeze.placeOf(task, via);
  }

  blob(name: string, source: BlobSource): string {
    return this.#freeze.blob(name, source);
  }

  get user(): Identity | undefined {
    return this.#freeze.user;
  }

  get closeExternal(): boolean {
    return this.#freeze.closeExternal;
  }

  get ends(): boolean {
    return this.#freeze.ends;
  }

  get outside(): Outside {
    return this.#freeze.outside;
  }

  note(text: string): void {
    this.#freeze.note(text);
  }

  refuse(refusal: Refusal): void {
    this.#freeze.refuse(refusal);
  }

  restless(begin: () => Settling): void {
    this.#freeze.restless(begin);
  }

  keep(fd: LocalFd): LocalFd {
    return this.#freeze.keep(fd);
  }

  fileId(pid: Pid, fd: number): string | undefined {
    return this.#freeze.fileId(pid, fd);
  }

  openFiles(): readonly (readonly [id: string, file: OpenFile])[] {
    return this.#freeze.openFiles();
  }

  addInFlight(local: LocalFd, holder: OpenFile): string {
    return this.#freeze.addInFlight(local, holder);
  }

  beforeKill(action: () => () => void): void {
    this.#freeze.beforeKill(action);
  }

  tellAtKill(pipe: LocalFd): void {
    this.#freeze.tellAtKill(pipe);
  }

  afterKill(action: () => void): void {
    this.#freeze.afterKill(action);
  }

  atRelease(action: () => void): void {
    this.#freeze.atRelease(action);
  }
}
