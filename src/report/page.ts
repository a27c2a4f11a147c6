/** The report of a swap as one page for people, that needs nothing but itself: no network, no script. */
import { hostname } from "node:os";
import { formatBytes } from "../lib/format-bytes.ts";
import type { Connection, Failure } from "../swap/store.ts";
import type { ReportedUnit, SwapReport } from "../swap/report.ts";
import { Html, html } from "./html.ts";
import { STYLE } from "./style.ts";
import { count, duration, explain, failedTries, type Fate, fateOf, headline, silenceOf, verdict } from "./story.ts";
import { timeline } from "./timeline.ts";

/** So many swaps stand beside the one that the page is about. */
const BESIDE = 12;
const MOST_CONNECTIONS = 50;

export interface PageContents {
  readonly report: SwapReport;
  /** The last ones, the one of the page among them, the newest first. */
  readonly last: readonly SwapReport[];
  readonly version: string;
}

export function reportPage({ report, last, version }: PageContents): string {
  const title = headline(report);
  const parts = [...sections(report), history(report, last.slice(0, BESIDE))];
  const links = parts.map(({ id, name }) => html`<li><a href="#${id}">${name}</a></li>`);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} – ${hostname()}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <header>
          ${lead(report)}
          <h1>${title}</h1>
          <nav aria-label="On this page">
            <ul>
              ${links}
            </ul>
          </nav>
        </header>
        <main>
          ${figures(report)}
          ${parts.map(
            ({ id, name, body }) =>
              html`<section aria-labelledby="${id}">
                <h2 id="${id}" tabindex="-1">${name}</h2>
                ${body}
              </section> `,
          )}
        </main>
        <footer><p>Record ${report.id}. Made by kmonte ${version} on ${moment(Date.now())}.</p></footer>
      </body>
    </html> `.text;
}

interface Section {
  readonly id: string;
  readonly name: string;
  readonly body: Html;
}

function lead(report: SwapReport): Html {
  const { kind, stopped } = report;
  const { word, well } = verdict(report);
  const what = kind === "suspend" ? "Suspend" : "Change of kernel";
  const mark = html`<span class="mark ${well ? "well" : "not-well"}"
    ><span aria-hidden="true">${well ? "✓" : "!"}</span> ${word}</span
  >`;
  return html`<p class="lead">${what} on <strong>${hostname()}</strong>, ${moment(stopped)} ${mark}</p>`;
}

function figures(report: SwapReport): Html {
  const { gapSeconds, kernelSeconds, memory, written, processes, units = [] } = report;
  const went = units.filter((unit) => fateOf(unit, report) === "resumed").length;
  const share = gapSeconds ? ` (${Math.round(((kernelSeconds ?? 0) / gapSeconds) * 100)} %)` : "";
  const shown: (readonly [string, Html | string, string?] | undefined)[] = [
    ["Kernel", kernels(report)],
    gapSeconds === undefined ? undefined : ["Pause", duration(gapSeconds), "from the first stop until they resumed"],
    kernelSeconds === undefined
      ? undefined
      : ["The kernel’s own share", duration(kernelSeconds) + share, kernelNote(report)],
    units.length === 0
      ? undefined
      : ["Resumed", `${went} of ${count(units.length, "unit")}`, count(processes.length, "process")],
    memory && ["Memory", formatBytes(memory.total), `${formatBytes(memory.still)} written while they were paused`],
    written === undefined ? undefined : ["Image", formatBytes(written), "of memory, before compression"],
  ];
  const items = shown
    .filter((item) => item !== undefined)
    .map(
      ([name, value, note]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}${note && html`<small>${note}</small>`}</dd>
        </div>`,
    );
  return html`<dl class="figures">${items}</dl>`;
}

function kernelNote({ kind }: SwapReport): string {
  return kind === "suspend" ? "off, or between two boots: no process ran" : "no process of the machine ran";
}

function sections(report: SwapReport): Section[] {
  const { units = [], notes = [], connections = [], failure } = report;
  const broken = units.filter((unit) => unit.failure);
  const tries = failedTries(report);
  const all: (Section | undefined)[] = [
    failure && { id: "failure", name: "What stood in the way", body: html`${failureText(failure)}${whole(report)}` },
    tries.length === 0 ? undefined : { id: "back", name: "The way back", body: wayBack(report) },
    broken.length === 0 ? undefined : { id: "anew", name: "Started anew", body: html`${broken.map(startedAnew)}` },
    {
      id: "timeline",
      name: "Timeline",
      body: html`<figure>
        ${timeline(report)}
        <figcaption>
          To scale, from the moment when the first process was stopped; the tinted part is their pause.
        </figcaption>
      </figure>`,
    },
    units.length === 0 ? undefined : { id: "units", name: "Units", body: unitTable(units, report) },
    connections.length === 0
      ? undefined
      : { id: "connections", name: "Connections", body: connectionTable(connections, report) },
    { id: "steps", name: "Steps", body: stepTable(report) },
    notes.length === 0
      ? undefined
      : {
          id: "notes",
          name: "Notes",
          body: html`<ul>
            ${notes.map((note) => html`<li>${note}</li>`)}
          </ul>`,
        },
  ];
  return all.filter((section) => section !== undefined);
}

function failureText({ what, code, why = "", remedy }: Failure): Html {
  const lines = why
    .split("\n")
    .filter(Boolean)
    .map((line) => html`<p class="why">${line}</p>`);
  return html`<p>${what} <code>${code}</code></p>
    ${lines}${remedy && html`<p>${remedy}</p>`}`;
}

/** Where the processes are that did not come back, and how a person gets them. */
function whole({ directory, units = [] }: SwapReport): Html | undefined {
  const images = new Set([directory, ...units.map((unit) => unit.directory)].filter((one) => one !== undefined));
  if (images.size === 0) return undefined;
  const services = units.filter(({ mainPid }) => mainPid !== undefined).map(({ name }) => name);
  const stop = services.length === 0 ? "" : `systemctl stop ${services.join(" ")}\n`;
  const commands = stop + [...images].map((image) => `kmonte thaw ${image}`).join("\n");
  return html`<p>Their images are whole. To have the processes as they were:</p>
    <pre>${commands}</pre>`;
}

function startedAnew({ name, failure, directory }: ReportedUnit): Html {
  const way =
    directory !== undefined &&
    html`<p>Its image is whole. To have it as it was:</p>
      <pre>
systemctl stop ${name}
kmonte thaw ${directory}</pre>`;
  return html`<h3>${name}</h3>
    ${failure && failureText(failure)}${way || undefined}`;
}

function wayBack(report: SwapReport): Html {
  const { arrived, from } = report;
  const items = failedTries(report).map(({ kernel, failure, back }) => {
    const way = back && `The machine went back ${back === "kexec" ? "by kexec" : "through its firmware"}.`;
    return html`<li>
      <h3>Linux ${kernel}</h3>
      ${failure && failureText(failure)}${way && html`<p>${way}</p>`}
    </li>`;
  });
  const end =
    arrived === from ? html`<p>The processes run on with Linux ${from}, from the same images.</p>` : undefined;
  return html`<ol class="tries">
      ${items}
    </ol>
    ${end}`;
}

const FATES: Readonly<Record<Fate, string>> = {
  resumed: "✓ resumed",
  "started anew": "! started anew",
  ended: "! has ended since",
  "did not come back": "! did not come back",
  waits: "… waits",
};

function unitTable(units: readonly ReportedUnit[], report: SwapReport): Html {
  const rows = units.map((unit) => {
    const { name, description, mainPid, processes, pauseSeconds } = unit;
    const main = mainPid === undefined ? "" : `main process ${mainPid}`;
    const now =
      unit.after && unit.after.mainPid !== mainPid && unit.after.mainPid !== 0 ? `, is ${unit.after.mainPid}` : "";
    return html`<tr>
      <th scope="row">${name}<small>${description}</small></th>
      <td>
        ${FATES[fateOf(unit, report)]}<small
          >${count(processes.length, "process")}${main && `, ${main}`}${main && now}</small
        >
      </td>
      <td class="number">${pauseSeconds === undefined ? "not known" : duration(pauseSeconds)}</td>
    </tr>`;
  });
  return table({
    caption: html`Each unit’s own pause: from the stop of its first process until its last one resumed.`,
    columns: ["Unit", "Since then", { number: "Pause" }],
    rows,
  });
}

interface Table {
  readonly caption: Html;
  /** What stands at their heads. */
  readonly columns: readonly (string | { readonly number: string })[];
  readonly rows: readonly Html[];
  /** How it is laid out, where that differs. */
  readonly kind?: "steps" | "history";
}

function table({ caption, columns, rows, kind }: Table): Html {
  const heads = columns.map((column) =>
    typeof column === "string"
      ? html`<th scope="col">${column}</th>`
      : html`<th scope="col" class="number">${column.number}</th>`,
  );
  return html`<table${kind && html` class="${kind}"`}>
    <caption>
      ${caption}
    </caption>
    <thead>
      <tr>
        ${heads}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

/** Those that waited first, the longest silence at the top. */
function connectionTable(connections: readonly Connection[], report: SwapReport): Html {
  const known = connections.map((one) => ({ ...one, silence: silenceOf(one, report) }));
  const sorted = known.toSorted((one, other) => (other.silence ?? -1) - (one.silence ?? -1));
  const rows = sorted.slice(0, MOST_CONNECTIONS).map(
    ({ local, remote, unit, silence }) =>
      html`<tr>
        <th scope="row">${remote.address}<small>port ${remote.port}</small></th>
        <td>${unit ?? "no unit"}<small>${local.address}, port ${local.port}</small></td>
        <td class="number">${silence === undefined ? "silent" : duration(silence)}</td>
      </tr>`,
  );
  const more = sorted.length - rows.length;
  const caption = html`Each connection to another machine, with the time from the stop of its unit until its other end
  was heard from again. One that was not within a moment after the thaw is silent: it may have had nothing to say.`;
  return html`${table({ caption, columns: ["Other end", "With", { number: "Heard after" }], rows })}
  ${more > 0 ? html`<p>${count(more, "connection")} more.</p>` : undefined}`;
}

function stepTable(report: SwapReport): Html {
  const rows = report.lines.map(({ step, seconds, after }) => {
    const text = explain(step, report);
    return html`<tr>
      <th scope="row">${step}${text && html`<small>${text}</small>`}</th>
      <td class="number">${after < 0 ? "−" : "+"}${Math.abs(after).toFixed(2)} s</td>
      <td class="number">${duration(seconds)}</td>
    </tr>`;
  });
  return table({
    caption: html`Each step, with its beginning counted from the stop of the first process.`,
    columns: ["Step", { number: "Began" }, { number: "Took" }],
    rows,
    kind: "steps",
  });
}

function history(report: SwapReport, last: readonly SwapReport[]): Section {
  const most = Math.max(...last.map(({ gapSeconds = 0 }) => gapSeconds), 0.001);
  const rows = last.map((one) => {
    const { gapSeconds, id, stopped } = one;
    const here = id === report.id;
    const bar =
      gapSeconds === undefined
        ? undefined
        : html`<svg class="beside" width="100%" height="6" aria-hidden="true">
            <rect class="bar unit" width="${((gapSeconds / most) * 100).toFixed(2)}%" height="6" rx="1.5" />
          </svg>`;
    return html`<tr${here ? html` aria-current="true"` : undefined}><th scope="row">${moment(stopped)}${here ? html`<small>this one</small>` : undefined}</th><td>${kernels(one)}<small>${verdict(one).word}</small></td><td class="number">${gapSeconds === undefined ? "not known" : duration(gapSeconds)}${bar}</td></tr>`;
  });
  const body = table({
    caption: html`The last ${last.length === 1 ? "one" : `${last.length}`} on record on this machine, the newest first.`,
    columns: ["When", "Kernel", { number: "Pause" }],
    rows,
    kind: "history",
  });
  return { id: "last", name: "The last ones", body };
}

function kernels({ from, to, arrived, kind }: SwapReport): Html {
  const now = arrived ?? to;
  const linux = (name: string): Html => html`<span class="kernel-name">${name}</span>`;
  if (kind === "suspend" && now === from) return html`Linux ${linux(from)}`;
  const change = html`Linux ${linux(from)} → ${linux(to)}`;
  return now === to ? change : html`${change}, now ${linux(now)}`;
}

function moment(time: number): Html {
  const date = new Date(time);
  const text = date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "long" });
  return html`<time datetime="${date.toISOString()}">${text}</time>`;
}
