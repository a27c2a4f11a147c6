/** A thaw as the kinds of resource see it that have paths of one mount namespace. */
import { MountView, OWN_VIEW } from "../sys/mount-view.ts";
import type { LocalFd, Pid } from "../lib/brand.ts";
import type { Rights } from "../sys/identity.ts";
import type { ObjectState } from "../resources/freeze-context.ts";
import type { Blob, ThawClocks, ThawContext, UserNamespaces } from "../resources/thaw-context.ts";
import type { Memo } from "../resources/memo.ts";
import type { MountNamespaceHandle } from "../resources/mount/namespace.ts";
import type { Phase } from "../resources/phases.ts";
import type { Thawing } from "./context.ts";

export class PlacedThaw implements ThawContext {
  readonly #thaw: Thawing;
  readonly #place: string | undefined;

  constructor(thaw: Thawing, place: string | undefined) {
    this.#thaw = thaw;
    this.#place = place;
  }

  /** The namespace is made when somebody wants to look into it. */
  get mounts(): MountView {
    if (this.#place === undefined) return OWN_VIEW;
    return new MountView(`/proc/self/fd/${this.#thaw.object<MountNamespaceHandle>(this.#place).root}`);
  }

  in(place: string | undefined): ThawContext {
    return this.#thaw.in(place);
  }

  object<H>(id: string): H {
    return this.#thaw.object(id);
  }

  memo<T>(memo: Memo<T, ThawContext>): T {
    return this.#thaw.memo(memo);
  }

  stateOf(id: string): ObjectState {
    return this.#thaw.stateOf(id);
  }

  openBlob(name: string): Blob {
    return this.#thaw.openBlob(name);
  }

  blob(name: string): Buffer {
    return this.#thaw.blob(name);
  }

  undo(what: string, action: () => void): void {
    this.#thaw.undo(what, action);
  }

  keep(fd: LocalFd): LocalFd {
    return this.#thaw.keep(fd);
  }

  file(id: string): LocalFd {
    return this.#thaw.file(id);
  }

  get holders(): readonly Rights[] {
    return this.#thaw.holders;
  }

  noteMade(device: string): void {
    this.#thaw.noteMade(device);
  }

  noteMadeFile(made: LocalFd): void {
    this.#thaw.noteMadeFile(made);
  }

  isMadeHere(found: LocalFd): boolean {
    return this.#thaw.isMadeHere(found);
  }

  process(pid: Pid): ReturnType<ThawContext["process"]> {
    return this.#thaw.process(pid);
  }

  standIn<T>(relative: Pid, id: number | undefined, use: (pid: Pid) => T): T {
    return this.#thaw.standIn(relative, id, use);
  }

  note(text: string): void {
    this.#thaw.note(text);
  }

  get userNamespaces(): UserNamespaces {
    return this.#thaw.userNamespaces;
  }

  during(phase: Phase, action: () => void): void {
    this.#thaw.during(phase, action);
  }

  get clocks(): ThawClocks {
    return this.#thaw.clocks;
  }

  get lateness(): bigint {
    return this.#thaw.lateness;
  }
}
