/** The timeline of a swap drawn to scale, as SVG: a row for each step, for each try that failed, and for each unit. */
import type { Phase } from "../swap/phases.ts";
import type { SwapReport } from "../swap/report.ts";
import { type Html, html } from "./html.ts";
import { count, duration, failedTries, headline } from "./story.ts";

/** A bar, in seconds after the first process was stopped. */
interface Row {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly kind: Phase | "unit" | "try" | "other";
}

interface Group {
  readonly title: string;
  readonly rows: readonly Row[];
}

const GROUPS: readonly (readonly [Phase | "other", string])[] = [
  ["before", "While all still ran"],
  ["freeze", "Written down"],
  ["back", "Another kernel, and the way back"],
  ["kernel", "The kernel’s own share"],
  ["boot", "The boot, up to kmonte"],
  ["thaw", "Set running again"],
  ["other", "Other steps"],
];

const TOP = 40;
const HEADING = 30;
const ROW = 27;
const BAR = 7;
/** What took no time is to be seen too, in percent. */
const LEAST = 0.1;

export function timeline(report: SwapReport): Html {
  const groups = groupsOf(report);
  const rows = groups.flatMap((group) => group.rows);
  const [from, to] = [Math.min(0, ...rows.map((row) => row.from)), Math.max(0.001, ...rows.map((row) => row.to))];
  const at = (seconds: number): number => ((seconds - from) / (to - from)) * 100;
  const percent = (seconds: number): string => `${at(seconds).toFixed(3)}%`;
  const width = (row: Row): string => `${Math.max(at(row.to) - at(row.from), LEAST).toFixed(3)}%`;
  let y = TOP;
  const drawn = groups.map(({ title, rows: own }) => {
    const heading = y + HEADING - 8;
    y += HEADING;
    const bars = own.map((row) => {
      const base = y;
      y += ROW;
      const late = at(row.from) > 50;
      const anchor = late ? "end" : "start";
      return html`<text x="${percent(late ? row.to : row.from)}" y="${base + 12}" text-anchor="${anchor}"
          ><tspan>${row.name}</tspan> <tspan class="amount">${duration(row.to - row.from)}</tspan></text
        ><rect
          class="bar ${row.kind}"
          x="${percent(row.from)}"
          y="${base + 16}"
          width="${width(row)}"
          height="${BAR}"
          rx="1.5"
        />`;
    });
    return html`<text class="group" x="0" y="${heading}">${title}</text>${bars}`;
  });
  const height = y + 8;
  const grid = ticks(from, to).map((tick) => {
    const place = at(tick);
    const anchor = place < 4 ? "start" : place > 96 ? "end" : "middle";
    return html`<line
        class="${tick === 0 ? "zero" : "grid"}"
        x1="${percent(tick)}"
        x2="${percent(tick)}"
        y1="${TOP - 12}"
        y2="${height}"
      /><text class="tick" x="${percent(tick)}" y="${TOP - 20}" text-anchor="${anchor}"
        >${tickText(tick, to - from)}</text
      >`;
  });
  const still =
    report.gapSeconds === undefined
      ? undefined
      : html`<rect
          class="still"
          x="${percent(0)}"
          y="${TOP - 12}"
          width="${(at(report.gapSeconds) - at(0)).toFixed(3)}%"
          height="${height - TOP + 12}"
        />`;
  return html`<svg width="100%" height="${height}" role="img" aria-labelledby="timeline-title timeline-desc">
    <title id="timeline-title">Timeline: ${headline(report)}</title>
    <desc id="timeline-desc">${description(report, groups)}</desc>
    ${still}${grid}${drawn}
  </svg>`;
}

function groupsOf(report: SwapReport): Group[] {
  const { lines, units = [], stopped } = report;
  const steps = GROUPS.map(([phase, title]) => {
    const own = lines.filter((line) => (line.phase ?? "other") === phase);
    const rows = own.map(({ step, seconds, after }) => ({ name: step, from: after, to: after + seconds, kind: phase }));
    const took = rows.reduce((sum, row) => sum + row.to - row.from, 0);
    return { title: `${title}: ${duration(took)}`, rows };
  });
  const after = (time: number): number => (time - stopped) / 1000;
  const paused = units.flatMap((unit) =>
    unit.stopped === undefined || unit.running === undefined
      ? []
      : [{ name: unit.name, from: after(unit.stopped), to: after(unit.running), kind: "unit" as const }],
  );
  // What came after the last of them has steps of its own.
  const back = lines.find(({ phase }) => phase === "back");
  const left = back ? back.after + back.seconds : Infinity;
  const tries = failedTries(report).map((one) => {
    const from = after(one.at);
    const next = report.attempts?.find(({ at }) => at > one.at)?.at ?? report.running ?? one.at;
    const to = Math.max(from, Math.min(after(next), left));
    return { name: `${one.kernel} was tried`, from, to, kind: "try" as const };
  });
  return [
    ...steps,
    { title: "Boots that were left again", rows: tries },
    { title: "Units: the pause of each", rows: paused },
  ].filter(({ rows }) => rows.length > 0);
}

/** For those who do not see it; the table below has each step. */
function description({ lines, gapSeconds, kernelSeconds, units = [] }: SwapReport, groups: readonly Group[]): string {
  const totals = groups.filter(({ rows }) => rows[0]?.kind !== "unit").map(({ title }) => title);
  return [
    `Bars to scale for ${count(lines.length, "step")} and ${count(units.length, "unit")}.`,
    ...(gapSeconds === undefined ? [] : [`The processes were paused for ${duration(gapSeconds)}.`]),
    ...(kernelSeconds === undefined ? [] : [`The kernel’s own share of that is ${duration(kernelSeconds)}.`]),
    `${totals.join("; ")}.`,
  ].join(" ");
}

const MOST_TICKS = 6;
const TICK_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];

function ticks(from: number, to: number): number[] {
  const range = to - from;
  const step = TICK_STEPS.find((one) => range / one <= MOST_TICKS) ?? Math.ceil(range / MOST_TICKS / 3600) * 3600;
  const [first, last] = [Math.ceil(from / step), Math.floor(to / step)];
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function tickText(seconds: number, range: number): string {
  const sign = seconds < 0 ? "−" : "";
  const amount = Math.abs(seconds);
  if (range > 7200 && amount >= 3600) return `${sign}${Number((amount / 3600).toFixed(1))} h`;
  if (range > 180 && amount >= 60) return `${sign}${Number((amount / 60).toFixed(1))} min`;
  return `${sign}${Number(amount.toFixed(2))} s`;
}
