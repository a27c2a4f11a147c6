/**
 * Memory that relatives have in common is put in place before they part, as it was the first time: in the process that
 * all of them descend from, before its children are made. Each keeps what it still has of it (fork(2), copy-on-write).
 */
import { closeSync } from "node:fs";
import { MADV, PAGE_SIZE } from "../../abi/mman.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { hex, unhex } from "../../lib/hex.ts";
import { clipped, ordered, touching, without, type Range } from "../../lib/ranges.ts";
import { stateOfKind } from "../../image/kinds.ts";
import type { FrozenProcess, FrozenState } from "../../image/schema.ts";
import type { MappingState } from "../../resources/memory/mappings.ts";
import { fileSystem } from "../../resources/mount/file-system.ts";
import { mountNamespace } from "../../resources/mount/namespace.ts";
import { oddOnes } from "../../resources/memory/adjacent-mappings.ts";
import { hugeMarksOf, isPoked, mapInherited, type Inherited } from "../../resources/memory/restore.ts";
import type { ContentsHandle } from "../../resources/file/contents.ts";
import type { Row } from "../../tracee/scope.ts";
import type { BuiltProcess } from "./process.ts";
import { readContents } from "./read-contents.ts";
import { isNamedFile } from "../../resources/volatile/volatile-file.ts";

/** Pages, by address, that are those of the process `of`. */
interface Run extends Range {
  readonly of: number;
}

/** A mapping and where it is. */
interface Area extends Range {
  readonly mapping: MappingState;
  /** Kept apart from the neighbour before it (`resources/memory/adjacent-mappings.ts`). */
  readonly odd: boolean;
}

/** What stands in a blank process. */
interface Prepopulated {
  readonly areas: readonly Area[];
  readonly pages: readonly Run[];
}

/** A mapping that stands already. */
export interface Kept extends Inherited {
  /** Its pages that are still to be read. */
  readonly missing: MappingState["pages"];
}

export class CowSharing {
  readonly #state: FrozenState;
  readonly #parents: ReadonlyMap<number, number>;
  readonly #areas: ReadonlyMap<number, readonly Area[]>;
  /** What each process must have before its children are made: for each owner, its pages. */
  readonly #plans = new Map<number, Map<number, Run[]>>();
  readonly #prepopulated = new Map<number, Prepopulated>();

  constructor(state: FrozenState) {
    this.#state = state;
    this.#parents = new Map(state.processes.map(({ pid, ppid }) => [pid, ppid]));
    this.#areas = new Map(state.processes.map((process) => [process.pid, areasOf(process)]));
    for (const { pid, body } of state.processes) {
      for (const mapping of body?.mappings ?? []) this.#plan(pid, mapping);
    }
  }

  #plan(pid: number, { start, cowShared: common = [] }: MappingState): void {
    for (const [of, runs] of Map.groupBy(common, (run) => run[2])) {
      const ancestor = this.#commonAncestor(pid, of);
      if (ancestor === undefined) continue;
      const plan = this.#plans.get(ancestor) ?? new Map<number, Run[]>();
      this.#plans.set(ancestor, plan);
      const known = plan.get(of) ?? [];
      const base = unhex(start);
      const wanted = runs.map(([first, count]) => {
        const from = base + first * PAGE_SIZE;
        return { start: from, end: from + count * PAGE_SIZE, of };
      });
      const more = without(wanted, known);
      if (more.length > 0) plan.set(of, ordered([...known, ...more]));
    }
  }

  #ancestry(pid: number): number[] {
    const parent = this.#parents.get(pid);
    return parent === undefined ? [] : [pid, ...this.#ancestry(parent)];
  }

  #commonAncestor(a: number, b: number): number | undefined {
    const above = new Set(this.#ancestry(a));
    return this.#ancestry(b).find((pid) => above.has(pid));
  }

  /** A process has been made out of another one, with all that stood in that. */
  created(pid: number, from: number): void {
    const prepopulated = this.#prepopulated.get(from);
    if (prepopulated) this.#prepopulated.set(pid, prepopulated);
  }

  /** Puts in place what the process has in common with its descendants, or what these have among them. */
  prepare(process: BuiltProcess): void {
    const plan = this.#plans.get(process.pid);
    // In a user namespace files are out of reach before all is in place.
    if (!plan || process.isBorrowed("memory") || process.thaw.hasUserNamespaces) return;
    let { areas, pages } = this.#prepopulated.get(process.pid) ?? { areas: [], pages: [] };
    // Its own pages come first: of several that stood at one address, only one can.
    const owners = [...plan.keys()].toSorted((a, b) => Number(b === process.pid) - Number(a === process.pid));
    for (const owner of owners) {
      const wanted = plan.get(owner) ?? [];
      for (const source of this.#areas.get(owner) ?? []) {
        if (touching(wanted, source).length === 0 || !this.#canMake(source.mapping, process)) continue;
        const area = this.#widen(source, areas);
        if (!area) continue;
        this.#map(process, area);
        areas = ordered([...areas, area]);
      }
      const fresh = areas.flatMap((area) => without(clipped(wanted, area), pages));
      readContents(process, owner, asMappings(fresh), () => undefined);
      pages = ordered([...pages, ...fresh]);
    }
    this.#prepopulated.set(process.pid, { areas, pages });
  }

  /** Files can be opened now when they are just files of the machine. */
  #canMake(mapping: MappingState, process: BuiltProcess): boolean {
    if (!isHeritable(mapping)) return false;
    if (!mapping.backing) return true;
    const { object } = mapping.backing;
    if (!isNamedFile(this.#state.objects[object])) return false;
    const place = this.#state.mountNamespaceOf?.[object];
    return place === undefined || this.#mountsOf(place).every((pid) => process.thaw.processes.has(pid));
  }

  /** The processes without which a mount namespace cannot be made: those whose /proc it shows. */
  #mountsOf(place: string): number[] {
    const { objects } = this.#state;
    const mounts = stateOfKind(mountNamespace, objects[place])?.mounts ?? [];
    return mounts.flatMap(({ source }) =>
      "fileSystem" in source ? (stateOfKind(fileSystem, objects[source.fileSystem])?.process ?? []) : [],
    );
  }

  /** As wide as any relative has it, where there is room, so that each can cut away what it does not have. */
  #widen(source: Area, areas: readonly Area[]): Area | undefined {
    const alike = [...this.#areas.values()]
      .flatMap((all) => touching(all, source))
      .filter((other) => isAlike(source.mapping, other.mapping));
    const widest = {
      start: Math.min(...alike.map(({ start }) => start)),
      end: Math.max(...alike.map(({ end }) => end)),
    };
    const range = [widest, source].find((candidate) => touching(areas, candidate).length === 0);
    return range && { ...source, start: range.start, end: range.end, mapping: moveTo(source.mapping, range) };
  }

  #map(process: BuiltProcess, { mapping, odd }: Area): void {
    if (!mapping.backing) return mapInherited(process, mapping, odd);
    const contents = process.context.object<ContentsHandle>(mapping.backing.object);
    const source: LocalFd = process.thaw.openFor(
      process.pid,
      () => (!mapping.shared && contents.openToMap?.(0)) || contents.open(0),
    );
    try {
      mapInherited(process, mapping, odd, source);
    } finally {
      closeSync(source);
    }
  }

  /**
   * Cuts away what the process does not have of the prepopulated memory. Returns the mappings that stand already.
   */
  settle(process: BuiltProcess): ReadonlyMap<MappingState, Kept> {
    const prepopulated = this.#prepopulated.get(process.pid);
    const kept = new Map<MappingState, Kept>();
    if (!prepopulated) return kept;
    const rows: Row[] = [];
    const own = this.#areas.get(process.pid) ?? [];
    for (const area of prepopulated.areas) {
      const usable = touching(own, area).filter(
        ({ start, end, mapping, odd }) =>
          (start === area.start || (start > area.start && !odd)) &&
          end <= area.end &&
          isHeritable(mapping) &&
          isAlike(area.mapping, mapping),
      );
      for (const { mapping } of usable) {
        const { missing, surplus } = compare(process.pid, mapping, prepopulated.pages);
        kept.set(mapping, { missing, odd: area.odd });
        for (const { start, end } of surplus) rows.push(["madvise", start, end - start, MADV.MADV_DONTNEED]);
      }
      for (const { start, end } of without([area], usable)) rows.push(["munmap", start, end - start]);
    }
    process.scope.callAll(`Sorting out what process ${process.pid} has inherited`, rows);
    return kept;
  }
}

function areasOf({ body }: FrozenProcess): Area[] {
  const mappings = body?.mappings ?? [];
  const odd = oddOnes(mappings);
  return mappings.map((mapping) => ({ ...rangeOf(mapping), mapping, odd: odd.has(mapping) }));
}

function rangeOf({ start, end }: MappingState): Range {
  return { start: unhex(start), end: unhex(end) };
}

/** Private memory that a moment of being writable does not change. */
function isHeritable(mapping: MappingState): boolean {
  if (mapping.shared || mapping.droppable || mapping.hugePage !== undefined || isPoked(mapping)) return false;
  return mapping.prot.includes("w") || mapping.accounted === true || mapping.noReserve === true;
}

/** Whether one can become the other by cutting, protecting and marking. */
function isAlike(a: MappingState, b: MappingState): boolean {
  if (a.shared !== b.shared || a.growsDown !== b.growsDown || a.noReserve !== b.noReserve) return false;
  if (a.droppable !== b.droppable || a.hugePage !== b.hugePage || a.backing?.object !== b.backing?.object) return false;
  if (hugeMarksOf(a).join() !== hugeMarksOf(b).join()) return false;
  return !a.backing || !b.backing || unhex(a.start) - a.backing.offset === unhex(b.start) - b.backing.offset;
}

/** The mapping with other ends. */
function moveTo(mapping: MappingState, { start, end }: Range): MappingState {
  const { backing } = mapping;
  return {
    ...mapping,
    start: hex(start),
    end: hex(end),
    ...(backing && { backing: { ...backing, offset: backing.offset + start - unhex(mapping.start) } }),
  };
}

/** Stretches of pages in the form in which mappings list them, for reading. */
function asMappings(runs: readonly Run[]): Pick<MappingState, "start" | "pages">[] {
  return runs.map(({ start, end }) => ({ start: hex(start), pages: [[0, (end - start) / PAGE_SIZE]] }));
}

/** Pages of a mapping that are not what stands there, and pages that stand there and that it does not have. */
function compare(
  pid: number,
  mapping: MappingState,
  pages: readonly Run[],
): { missing: MappingState["pages"]; surplus: Range[] } {
  const base = unhex(mapping.start);
  const place = (first: number, count: number): Range => ({
    start: base + first * PAGE_SIZE,
    end: base + (first + count) * PAGE_SIZE,
  });
  const own = mapping.pages.map(([first, count]) => place(first, count));
  const common = (mapping.cowShared ?? []).map(([first, count, of]) => ({ ...place(first, count), of }));
  const labelled = ordered([...common, ...without(own, common).map((range) => ({ ...range, of: pid }))]);
  const there = clipped(pages, rangeOf(mapping));
  const right = there.flatMap((run) => clipped(labelled, run).filter(({ of }) => of === run.of));
  return {
    missing: without(own, right).map(({ start, end }) => [(start - base) / PAGE_SIZE, (end - start) / PAGE_SIZE]),
    surplus: without(there, own),
  };
}
