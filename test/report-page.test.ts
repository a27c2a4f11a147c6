/** The page that kmonte report --html makes, in a browser. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { SwapRecord } from "../src/swap/store.ts";
import { barriers, TestBrowser } from "./browser.ts";
import { ALL, back, END, FAILURE, record, report, START, stateWith, unit, waiting } from "./report-records.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-report-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const HOSTILE = `</title></svg><script>window.hurt = 1</script><img src="http://192.0.2.1/x" onerror="hurt=1"> & ' " \u202e \u0007`;

/** Records by what is to be seen in them, and the sentence that each begins with. */
const CASES: Readonly<Record<string, { readonly record: SwapRecord; readonly title: string | RegExp }>> = {
  "all is well": { record: record(), title: "3 units were paused for 9.76 s; none was lost" },
  "processes without units": {
    record: record({ units: undefined, processes: [{ pid: 7, command: "sleep" }] }),
    title: "1 process was paused for 10.0 s; it was not lost",
  },
  "another kernel was tried": {
    record: back(),
    title: "Linux 6.12.9-amd64 did not do: back on 6.1.0-26-amd64, 3 units were paused for 32.0 s; none was lost",
  },
  "one unit was started anew": {
    record: record({
      units: [
        ...(record().units ?? []),
        {
          ...unit("memcached.service", 703, { directory: "/i/memcached.service", failure: FAILURE }),
          running: undefined,
        },
      ],
    }),
    title: "3 of 4 units were paused for 9.76 s; memcached.service was started anew",
  },
  "none came back": {
    record: { ...waiting(), state: "failed", failure: FAILURE },
    title: "3 units did not come back and were started anew; their memory is kept on disk",
  },
  "they wait": { record: waiting(), title: "3 units are paused, and wait for the next boot" },
  "it is on trial": {
    record: record({ state: "trial" }),
    title: "3 units were paused for 9.76 s; whether all is well is not known yet",
  },
  "texts that would do harm": {
    record: record({
      to: HOSTILE,
      arrived: HOSTILE,
      notes: [HOSTILE],
      units: [
        unit(HOSTILE, 700, {
          description: HOSTILE,
          failure: { code: HOSTILE, what: HOSTILE, why: HOSTILE, remedy: HOSTILE },
        }),
        unit("x".repeat(255), 701),
      ],
      steps: [...ALL, { step: HOSTILE, start: END, end: END + 10 }],
    }),
    title: /started anew$/,
  },
  "many units": {
    record: record({
      units: Array.from({ length: 40 }, (_, i) => unit(`instance@${i}.service`, 1000 + i, { running: END - i * 10 })),
    }),
    title: "40 units were paused for 9.96 s; none was lost",
  },
};

/** Writes the page and gives its path. */
async function pageOf(...records: readonly SwapRecord[]): Promise<string> {
  const state = stateWith(directory, ...records);
  const file = join(state, "page.html");
  const said = await report(state, "--html", file);
  assert.deepEqual([said.status, said.stdout], [0, `Written to ${file}.\n`], said.stderr);
  return file;
}

describe("the page", () => {
  let browser: TestBrowser;
  before(async () => (browser = await TestBrowser.open()));
  after(() => browser[Symbol.asyncDispose]());

  for (const [name, { record: one, title }] of Object.entries(CASES)) {
    test(`${name}: says so first, is whole by itself, and has no barriers`, async () => {
      const file = await pageOf(record(), one);
      await using shown = await browser.show(file, { audited: true });
      const { page, requests } = shown;
      const heading = await page.locator("h1").allInnerTexts();
      assert.equal(heading.length, 1);
      if (typeof title === "string") assert.equal(heading[0], title);
      else assert.match(heading[0] ?? "", title);
      assert.equal(await page.title(), `${heading[0]} – ${hostname()}`.replace(/\s+/g, " "));
      assert.deepEqual(requests, [page.url()]);
      // Even without the page's own policy.
      assert.equal(await page.evaluate("window.hurt"), undefined);
      assert.equal(await page.locator("script, img, link, iframe, object").count(), 0);
      for (const table of await page.locator("table").all()) {
        assert.equal(await table.locator("caption").count(), 1);
        assert.equal(await table.locator("th:not([scope])").count(), 0);
        assert.ok((await table.locator("tbody tr").count()) > 0);
      }
      for (const [width, colorScheme] of [
        [1100, "light"],
        [360, "dark"],
      ] as const) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await barriers(page), [], `${width} px, ${colorScheme}`);
        const wide = await page.evaluate("document.documentElement.scrollWidth");
        assert.ok((wide as number) <= width, `${String(wide)} of ${width} px`);
      }
    });
  }

  test("shows how long each other end of a connection was not heard from, the longest first", async () => {
    const local = { address: "192.0.2.1", port: 6379 };
    const heard = [undefined, END + 20, END + 40, ...Array.from({ length: 57 }, () => undefined)];
    const connections = heard.map((at, i) => ({
      local,
      remote: { address: "192.0.2.77", port: 5000 + i },
      unit: "redis-server.service",
      ...(at !== undefined && { heard: at }),
    }));
    await using shown = await browser.show(await pageOf(record({ connections })));
    const section = shown.page.locator("section:has(#connections)");
    const rows = await section.locator("tbody tr").allInnerTexts();
    assert.equal(rows.length, 50);
    assert.match(rows[0] ?? "", /192\.0\.2\.77\s+port 5002\s+redis-server\.service[^]*port 6379\s+10\.0 s/);
    assert.match(rows[1] ?? "", /port 5001[^]*9\.98 s/);
    assert.match(rows[2] ?? "", /port 5000[^]*silent/);
    assert.match(await section.innerText(), /10 connections more\./);
  });

  test("shows each unit's own pause, and what became of it", async () => {
    await using shown = await browser.show(await pageOf(CASES["one unit was started anew"]?.record as SwapRecord));
    const rows = await shown.page.locator("section:has(#units) tbody tr").allInnerTexts();
    assert.equal(rows.length, 4);
    assert.match(rows[0] ?? "", /nginx\.service[^]*✓ resumed[^]*main process 700[^]*9\.76 s/);
    assert.match(rows[3] ?? "", /memcached\.service[^]*! started anew[^]*not known/);
    const anew = await shown.page.locator("section:has(#anew)").innerText();
    assert.match(
      anew,
      /A program is another one\. FILE_CHANGED\s+It was written to\.\s+Its size differs\.\s+Put it back\./,
    );
    assert.match(anew, /systemctl stop memcached\.service\nkmonte thaw \/i\/memcached\.service/);
  });

  test("tells of the way back, and counts the kernel that was left to no kernel's share", async () => {
    await using shown = await browser.show(await pageOf(back()));
    const text = await shown.page.locator("body").innerText();
    assert.match(text, /! went back/);
    assert.match(text, /The way back\s+(1\. )?Linux 6\.12\.9-amd64\s+A program is another one/);
    assert.match(text, /went back by kexec[^]*run on with Linux 6\.1\.0-26-amd64/);
    assert.match(text, /kernel’s own share\s+3\.10 s/);
  });

  test("puts the last ones beside it, without one that cannot be read", async () => {
    const state = stateWith(directory, record(), back(), record());
    const [first = ""] = readdirSync(join(state, "swap")).sort();
    writeFileSync(join(state, "swap", first, "timeline.json"), "{");
    assert.equal((await report(state, "--html", join(state, "page.html"))).status, 0);
    await using shown = await browser.show(join(state, "page.html"));
    const rows = await shown.page.locator("section:has(#last) tbody tr").allInnerTexts();
    assert.equal(rows.length, 2);
    assert.match(
      rows[0] ?? "",
      /30 Nov 2026, 03:12:00 UTC\s+this one[^]*6\.1\.0-26-amd64 → 6\.12\.9-amd64\s+done[^]*10\.0 s/,
    );
    assert.match(rows[1] ?? "", /now 6\.1\.0-26-amd64\s+went back[^]*32\.0 s/);
    assert.equal(await shown.page.locator("[aria-current]").count(), 1);
  });

  test("draws to scale", async () => {
    await using shown = await browser.show(await pageOf(record()));
    const box = async (selector: string) => (await shown.page.locator(selector).boundingBox()) ?? { x: 0, width: 0 };
    const all = await box("figure svg");
    const perMs = all.width / (END - (ALL[0]?.start ?? 0));
    const kernel = await box(".bar.kernel >> nth=1");
    const own = ALL.find(({ step }) => step === "kernel") ?? { start: 0, end: 0 };
    // A line of 1.5 px around it.
    assert.ok(Math.abs(kernel.width - (own.end - own.start) * perMs) < 3, `${kernel.width}`);
    assert.ok(Math.abs(kernel.x - all.x - (own.start - (ALL[0]?.start ?? 0)) * perMs) < 3, `${kernel.x}`);
    const unitBar = await box(".bar.unit >> nth=0");
    assert.ok(Math.abs(unitBar.width - (END - 240 - START) * perMs) < 3, `${unitBar.width}`);
  });

  test("is read with the keyboard, and by a screen reader", async () => {
    await using shown = await browser.show(await pageOf(record()));
    const { page } = shown;
    const reached: string[] = [];
    for (let i = 0; i < 4; i += 1) {
      await page.keyboard.press("Tab");
      reached.push(await page.locator(":focus").innerText());
    }
    assert.deepEqual(reached, ["Timeline", "Units", "Steps", "The last ones"]);
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("document.activeElement.id"), "steps");
    const tree = await page.locator("body").ariaSnapshot();
    assert.match(tree, /heading "3 units were paused for 9\.76 s; none was lost" \[level=1\]/);
    assert.match(tree, /img "Timeline: 3 units were paused/);
    assert.match(
      tree,
      /table "Each unit’s own pause[^]*rowheader "redis-server\.service What redis-server\.service does"/,
    );
    const description = await page.locator("figure desc").textContent();
    assert.match(description ?? "", /18 steps and 3 units\..*were paused for 10\.0 s.*own share of that is 4\.00 s/);
  });

  test("is light or dark, and black on white on paper", async () => {
    const file = await pageOf(record());
    const paper: string[] = [];
    for (const scheme of ["light", "dark"] as const) {
      await using shown = await browser.show(file, { scheme });
      const colour = (): Promise<string> => shown.page.evaluate("getComputedStyle(document.body).backgroundColor");
      paper.push(await colour());
      await shown.page.emulateMedia({ media: "print", colorScheme: scheme });
      assert.equal(await colour(), "rgb(255, 255, 255)");
      assert.equal(await shown.page.locator("nav").isVisible(), false);
    }
    assert.deepEqual(paper, ["rgb(253, 253, 252)", "rgb(21, 25, 28)"]);
    await using shown = await browser.show(file);
    const pdf = await shown.page.pdf({ format: "A4" });
    const pages = pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) ?? [];
    assert.ok(pages.length >= 1 && pages.length <= 3, `${pages.length} pages`);
  });
});
