/**
 * Neighbouring mappings that look alike. The kernel joins such neighbours when it makes them, unless they have
 * different pasts; where the frozen process had them apart, they are kept apart, because /proc/PID/maps shows it.
 */
import type { MappingState } from "./mappings.ts";

/** Whether the kernel would make one mapping of the two. */
export function wouldMerge(before: MappingState | undefined, mapping: MappingState): boolean {
  if (!before || before.end !== mapping.start || mapping.hugePage !== undefined) return false;
  return likeness(before) === likeness(mapping) && continues(before, mapping);
}

function likeness(mapping: MappingState): string {
  const {
    start: _start,
    end: _end,
    pages: _pages,
    cowShared: _common,
    guardRegions: _guards,
    backing,
    advice,
    ...rest
  } = mapping;
  return JSON.stringify([rest, advice?.toSorted(), backing?.object, backing?.writable]);
}

function continues(before: MappingState, mapping: MappingState): boolean {
  if (!before.backing || !mapping.backing) return true;
  return before.backing.offset + (Number(before.end) - Number(before.start)) === mapping.backing.offset;
}

/**
 * Parts the mappings into even and odd ones such that neighbours that would merge are never of the same sort: each
 * sort of a file gets its own open file description, each sort of anonymous memory its own mark while it is filled.
 */
export function oddOnes(mappings: readonly MappingState[]): Set<MappingState> {
  const odd = new Set<MappingState>();
  mappings.forEach((mapping, i) => {
    const before = mappings[i - 1];
    if (before && wouldMerge(before, mapping) && !odd.has(before)) odd.add(mapping);
  });
  return odd;
}
