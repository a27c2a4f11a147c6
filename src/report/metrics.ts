/**
 * A swap as metrics: text that OpenMetrics 1.0 and Prometheus' older text format 0.0.4 both allow, so that it serves a
 * scrape and node_exporter's textfile collector alike. Gauges alone, without timestamps: that collector takes none.
 */
import type { SwapReport } from "../swap/report.ts";
import { fateOf, silenceOf, wentBack } from "./story.ts";

/** Of their file: whoever collects them runs as a user of its own, and there are no secrets in them. */
export const METRICS_MODE = 0o644;

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | undefined];

/** A metric; the end of its name is its unit, where it has one. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly unit?: "seconds" | "bytes";
  readonly samples: readonly Sample[];
}

export function metricsText(report: SwapReport): string {
  return `${metricsOf(report).map(metricText).join("")}# EOF\n`;
}

function metricsOf(report: SwapReport): Metric[] {
  const { id, kind = "swap", from, to, arrived = "", state, stopped, running, memory, written } = report;
  const { units = [], processes, attempts = [], gapSeconds, kernelSeconds } = report;
  const { connections = [] } = report;
  const silences = connections.flatMap((one) => silenceOf(one, report) ?? []);
  const alone = (value: number | undefined): readonly Sample[] => [[{}, value]];
  const steps = Map.groupBy(report.lines, ({ step }) => step);
  const unitSamples = (valueOf: (unit: (typeof units)[number]) => number | undefined): Sample[] =>
    units.map((unit) => [{ unit: unit.name }, valueOf(unit)]);
  return [
    {
      name: "kmonte_swap_info",
      help: "The last change of kernel, or suspend, of kmonte's on this machine.",
      samples: [[{ id, kind, from, to, arrived, state }, 1]],
    },
    {
      name: "kmonte_swap_done",
      help: "1 when the processes run for good on the kernel that was to come, else 0.",
      samples: alone(state === "done" && !wentBack(report) ? 1 : 0),
    },
    {
      name: "kmonte_swap_went_back",
      help: "1 when the processes run on the kernel that they came from, as the other one did not do.",
      samples: alone(wentBack(report) ? 1 : 0),
    },
    { name: "kmonte_swap_attempts", help: "Boots that tried to thaw.", samples: alone(attempts.length) },
    {
      name: "kmonte_swap_stopped_timestamp_seconds",
      unit: "seconds",
      help: "When the first process was stopped, since the epoch.",
      samples: alone(stopped / 1000),
    },
    {
      name: "kmonte_swap_running_timestamp_seconds",
      unit: "seconds",
      help: "When the processes resumed, since the epoch.",
      samples: alone(running === undefined ? undefined : running / 1000),
    },
    {
      name: "kmonte_swap_pause_seconds",
      unit: "seconds",
      help: "How long the processes were paused.",
      samples: alone(gapSeconds),
    },
    {
      name: "kmonte_swap_kernel_seconds",
      unit: "seconds",
      help: "How long of that one kernel ended and another started.",
      samples: alone(kernelSeconds),
    },
    {
      name: "kmonte_swap_step_seconds",
      unit: "seconds",
      help: "How long each step took.",
      samples: [...steps].map(([step, lines]) => [{ step }, lines.reduce((sum, { seconds }) => sum + seconds, 0)]),
    },
    {
      name: "kmonte_swap_unit_pause_seconds",
      unit: "seconds",
      help: "How long each unit was paused.",
      samples: unitSamples(({ pauseSeconds }) => pauseSeconds),
    },
    {
      name: "kmonte_swap_unit_went_on",
      help: "1 when the unit has the same processes as before, 0 when it has not.",
      samples: unitSamples((unit) => (fateOf(unit, report) === "resumed" ? 1 : 0)),
    },
    {
      name: "kmonte_swap_connections",
      help: "Connections to other machines that came along.",
      samples: alone(connections.length),
    },
    {
      name: "kmonte_swap_connection_pause_seconds",
      unit: "seconds",
      help: "The longest that a peer which had something to say was not heard from.",
      samples: alone(silences.length === 0 ? undefined : Math.max(...silences)),
    },
    { name: "kmonte_swap_processes", help: "Processes that were taken along.", samples: alone(processes.length) },
    {
      name: "kmonte_swap_memory_bytes",
      unit: "bytes",
      help: "Memory of the processes.",
      samples: alone(memory?.total),
    },
    {
      name: "kmonte_swap_written_bytes",
      unit: "bytes",
      help: "Memory in their images.",
      samples: alone(written),
    },
  ];
}

function metricText({ name, help, unit, samples }: Metric): string {
  const lines = samples.flatMap(([labels, value]) =>
    value === undefined ? [] : [`${name}${labelText(labels)} ${Number(value.toFixed(3))}\n`],
  );
  if (lines.length === 0) return "";
  const head = [`# TYPE ${name} gauge\n`, ...(unit ? [`# UNIT ${name} ${unit}\n`] : []), `# HELP ${name} ${help}\n`];
  return [...head, ...lines].join("");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

const ESCAPED: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

function escape(value: string): string {
  return value.replace(/[\\"\n]/g, (one) => ESCAPED[one] as string);
}
