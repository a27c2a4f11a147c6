/** What of a set is not as it was after a thaw, as far as a state tells: each kind of resource says so of its own. */
import type { FrozenState } from "../../image/schema.ts";
import { fileOf, objectOf, resourcesOf, threadPartsOf, type Body, type Part } from "../../image/kinds.ts";

export interface HeldDifference {
  readonly what: string;
  /** Whose it is; of nobody in particular, it is of the set as a whole. */
  readonly processes: readonly Holder[];
}

interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** Each difference once, with all processes that meet it. */
export function differencesOf(state: FrozenState): HeldDifference[] {
  const found = new Map<string, Holder[]>();
  const held = new Set<string>();
  for (const { pid, command, body } of state.processes) {
    if (!body) continue;
    const objects = objectsOfBody(body, state);
    for (const id of objects) held.add(id);
    for (const what of new Set([...partsOf(body, objects, state)].flatMap(metBy)))
      found.set(what, [...(found.get(what) ?? []), { pid, command }]);
  }
  for (const id of Object.keys(state.objects)) {
    if (held.has(id)) continue;
    for (const what of metBy(objectOf(state, id))) found.set(what, found.get(what) ?? []);
  }
  return [...found].map(([what, processes]) => ({ what, processes }));
}

function metBy({ kind, state }: Part): string[] {
  return (kind?.differs ?? []).filter((one) => one.met?.(state)).map(({ what }) => what);
}

function* partsOf(body: Body, objects: Iterable<string>, state: FrozenState): Generator<Part> {
  yield* resourcesOf(body);
  for (const thread of body.threads) yield* threadPartsOf(thread);
  for (const { file } of body.descriptors) if (state.files[file]) yield fileOf(state, file);
  for (const id of objects) yield objectOf(state, id);
}

/** All that a process leads to, by its files too, and what that leads to in turn. */
function objectsOfBody(body: Body, { files, objects }: FrozenState): Set<string> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value === "string" && Object.hasOwn(objects, value) && !found.has(value)) {
      found.add(value);
      visit(objects[value]);
    } else if (typeof value === "object" && value !== null) for (const one of Object.values(value)) visit(one);
  };
  visit(body);
  for (const { file } of body.descriptors) visit(files[file]);
  return found;
}
