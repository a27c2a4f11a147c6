/** How the page looks: light and dark, on a screen of any width and on paper. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1c2226; --quiet: #566069; --rule: #dcdfe1; --tint: #eef2f6; --link: #1f5a94;
  --well: #1d6b4a; --not-well: #9a3412;
  --before: #77838d; --freeze: #3a6ea5; --kernel: #b0561a; --boot: #7a6a1c; --thaw: #23796b; --unit: #3d4a57; --try: #a3303a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15191c; --ink: #e6e9eb; --quiet: #a3adb5; --rule: #343b41; --tint: #1e262d; --link: #8fbfec;
    --well: #7fd0a8; --not-well: #f2a27c;
    --before: #8995a0; --freeze: #6ba3df; --kernel: #e08b4b; --boot: #c2ae4b; --thaw: #55b7a5; --unit: #b6c2cd; --try: #e5727c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 3rem; max-width: 60rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 "Segoe UI", Roboto, Cantarell, "Helvetica Neue", "Liberation Sans", "DejaVu Sans", sans-serif; overflow-wrap: anywhere;
}
h1 { margin: .25rem 0 1rem; font-size: clamp(1.5rem, 1.1rem + 1.9vw, 2.25rem); line-height: 1.2; font-weight: 600; text-wrap: balance; }
h2 { margin: 0 0 .75rem; padding-top: 1.25rem; font-size: 1.25rem; font-weight: 600; }
h3 { margin: 1rem 0 .25rem; font-size: 1rem; font-weight: 600; }
p, ul, ol, pre, dl, figure { margin: 0 0 .75rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
small { display: block; color: var(--quiet); font-size: .8125rem; line-height: 1.4; font-weight: 400; }
section { margin-top: 1.5rem; border-top: 1px solid var(--rule); }
.lead { margin: 0; color: var(--quiet); }
.lead strong { color: var(--ink); font-weight: 600; }
.mark { white-space: nowrap; font-weight: 600; margin-inline-start: .5rem; }
.well { color: var(--well); }
.not-well { color: var(--not-well); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0 0 1.75rem; padding: 0; list-style: none; font-size: .9375rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); gap: 1.25rem 2rem; margin: 0; }
.figures div { border-top: 2px solid var(--ink); padding-top: .5rem; }
dt { color: var(--quiet); font-size: .875rem; }
dd { margin: 0; font-size: 1.25rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
/* Broken within only where there is no other way. */
.kernel-name { display: inline-block; max-width: 100%; vertical-align: top; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .5rem; color: var(--quiet); font-size: .875rem; text-align: start; }
th, td { padding: .5rem .75rem .5rem 0; border-top: 1px solid var(--rule); text-align: start; vertical-align: top; }
tr > :last-child { padding-inline-end: 0; }
thead th { border-top: 0; color: var(--quiet); font-size: .875rem; font-weight: 400; }
tbody th { font-weight: 500; }
.number { text-align: end; white-space: nowrap; }
.history .number { width: 30%; }
[aria-current] > * { background: var(--tint); }
[aria-current] > :first-child { box-shadow: -.5rem 0 0 var(--tint); }
[aria-current] > :last-child { box-shadow: .5rem 0 0 var(--tint); }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .875em; }
p code { color: var(--quiet); }
pre { padding: .75rem 1rem; background: var(--tint); white-space: pre-wrap; }
.why { margin-inline-start: 1.25rem; color: var(--quiet); }
.tries { padding-inline-start: 1.25rem; }
.tries h3 { margin: 0; }
svg { display: block; overflow: visible; }
svg text { fill: var(--ink); font-size: .8125rem; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
svg .group { font-weight: 600; fill: var(--quiet); }
svg .tick, svg .amount { fill: var(--quiet); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); }
.zero { stroke: var(--quiet); }
.still { fill: var(--tint); }
.bar { stroke-width: 1.5px; }
${["before", "freeze", "kernel", "boot", "thaw", "unit", "try"].map((kind) => `.bar.${kind} { fill: var(--${kind}); stroke: var(--${kind}); }`).join("\n")}
.bar.other, .bar.back { fill: var(--quiet); stroke: var(--quiet); }
figcaption { margin-top: .5rem; color: var(--quiet); font-size: .875rem; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: .75rem; color: var(--quiet); font-size: .875rem; }
footer p { margin: 0; }
@media (max-width: 30rem) {
  .figures { grid-template-columns: 1fr 1fr; gap: 1rem; }
  dd { font-size: 1.125rem; }
}
@media (min-width: 44rem), print {
  .steps th small { display: inline; margin-inline-start: .75rem; }
  .steps th, .steps td { padding-block: .3rem; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --ink: #000; --quiet: #444; --rule: #bbb; --tint: #eee; --link: #000; --well: #000; --not-well: #000;
    --before: #77838d; --freeze: #3a6ea5; --kernel: #b0561a; --boot: #7a6a1c; --thaw: #23796b; --unit: #3d4a57; --try: #a3303a;
  }
  @page { margin: 12mm 15mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav { display: none; }
  .figures { grid-template-columns: repeat(3, 1fr); gap: .75rem 1.5rem; }
  dd { font-size: 1.1rem; }
  section { margin-top: .75rem; }
  h2 { padding-top: .75rem; }
  figure svg { zoom: .78; }
  h2, h3, caption { break-after: avoid; }
  tr, figure, .figures div { break-inside: avoid; }
}
`;
