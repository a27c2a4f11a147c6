/** Stretches of numbers, from `start` up to before `end`. Lists are in order and without overlaps. */

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Index of the first range that ends behind `at`. */
function firstBehind(ranges: readonly Range[], at: number): number {
  let low = 0;
  for (let high = ranges.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as Range).end <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The ranges that have something in common with another one, whole. */
export function touching<T extends Range>(ranges: readonly T[], { start, end }: Range): T[] {
  const found: T[] = [];
  for (let i = firstBehind(ranges, start); i < ranges.length && (ranges[i] as T).start < end; i += 1) {
    found.push(ranges[i] as T);
  }
  return found;
}

/** What they have in common with it. */
export function clipped<T extends Range>(ranges: readonly T[], range: Range): T[] {
  return touching(ranges, range).map((found) => ({
    ...found,
    start: Math.max(found.start, range.start),
    end: Math.min(found.end, range.end),
  }));
}

/** What is left of the ranges without the others. */
export function without<T extends Range>(ranges: readonly T[], others: readonly Range[]): T[] {
  return ranges.flatMap((range) => {
    const left: T[] = [];
    let at = range.start;
    for (const other of touching(others, range)) {
      if (other.start > at) left.push({ ...range, start: at, end: other.start });
      at = Math.max(at, other.end);
    }
    if (at < range.end) left.push({ ...range, start: at });
    return left;
  });
}

export function ordered<T extends Range>(ranges: readonly T[]): T[] {
  return ranges.toSorted((a, b) => a.start - b.start);
}
