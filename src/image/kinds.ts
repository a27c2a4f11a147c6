/** Each part of a frozen state with the kind of resource that knows it, found in the registry. */
import type { ObjectState } from "../resources/freeze-context.ts";
import type { FileKind, NetworkUse, ObjectKind, ProcessResource, ThreadResource } from "../resources/contract.ts";
import { fileKinds, objectKinds, processResources, threadResources } from "../resources/registry.ts";
import { filesystemContext } from "../resources/process/filesystem-context.ts";
import type { FrozenState } from "./schema.ts";

/** A part of the state, and which flags it is opened with where it is an open file. */
export interface Part {
  /** How it is called in a message. */
  readonly what: string;
  readonly kind: Kind | undefined;
  readonly state: unknown;
  readonly flags: string;
}

export type Kind =
  | FileKind<unknown>
  | ObjectKind<unknown, unknown>
  | ProcessResource<unknown>
  | ThreadResource<unknown>;

export type Body = NonNullable<FrozenState["processes"][number]["body"]>;

const NO_FLAGS = "0";

/** What an object holds, if it is of that kind. */
export function stateOfKind<S>(
  kind: Pick<ObjectKind<S, unknown>, "name" | "schema">,
  object: ObjectState | undefined,
): S | undefined {
  return object?.kind === kind.name ? (object as S) : undefined;
}

/** What an open file holds, if it is of that kind. */
export function stateOfFile<S, Name extends string>(
  kind: Pick<FileKind<S, Name>, "name" | "schema">,
  file: FrozenState["files"][string],
): S | undefined {
  return file.kind === kind.name ? (file.state as S) : undefined;
}

/** An open file, by its id. */
export function fileOf({ files }: FrozenState, id: string): Part {
  const { kind: name, state, flags } = files[id] as FrozenState["files"][string];
  const what = `a file of the kind ${name} (${id})`;
  return { what, kind: fileKinds.find((kind) => kind.name === name), state, flags };
}

/** All open files. */
export function* filesOf(state: FrozenState): Generator<Part> {
  for (const id of Object.keys(state.files)) yield fileOf(state, id);
}

/** What the files of a set ask of the machine's network. */
export function networkUses({ files }: FrozenState): NetworkUse[] {
  return Object.values(files)
    .filter(({ net }) => net === undefined)
    .flatMap(({ kind: name, state }) => fileKinds.find((kind) => kind.name === name)?.network?.(state) ?? []);
}

/** A shared object, by its id. */
export function objectOf({ objects }: FrozenState, id: string): Part {
  const state = objects[id] as ObjectState;
  return { what: id, kind: objectKinds.find(({ name }) => name === state.kind), state, flags: NO_FLAGS };
}

/** All shared objects. */
export function* objectsOf(state: FrozenState): Generator<Part> {
  for (const id of Object.keys(state.objects)) yield objectOf(state, id);
}

/** What a process has one of, and its threads that have gone their own way. */
export function* resourcesOf({ resources, threads }: Body): Generator<Part> {
  for (const [name, state] of Object.entries(resources))
    yield { what: name, kind: processResources.find((kind) => kind.name === name), state, flags: NO_FLAGS };
  for (const { unshared: apart } of threads)
    if (apart?.filesystem)
      yield { what: filesystemContext.name, kind: filesystemContext, state: apart.filesystem, flags: NO_FLAGS };
}

/** What a thread has one of; what is absent, it does not have. */
export function* threadPartsOf(thread: object): Generator<Part> {
  for (const kind of threadResources) {
    const state = (thread as Readonly<Record<string, unknown>>)[kind.name];
    if (state !== undefined) yield { what: kind.name, kind, state, flags: NO_FLAGS };
  }
}
