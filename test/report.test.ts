/** The report of a swap for others: the metrics in the eyes of their parsers, the files that both are written to. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ensurePackages } from "../scripts/packages.ts";
import { metricsText } from "../src/report/metrics.ts";
import { metricsFolders } from "../src/report/textfile.ts";
import { removeForgotten } from "../src/swap/leftovers.ts";
import { reportOf } from "../src/swap/report.ts";
import { readRecords } from "../src/swap/store.ts";
import { parseError } from "./kmonte.ts";
import { back, record, report, stateWith, unit, waiting } from "./report-records.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-report-"));
after(() => rmSync(directory, { recursive: true, force: true }));

interface Sample {
  readonly name: string;
  readonly type: string;
  readonly unit: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Both formats as Prometheus' own client library reads them. */
const PARSE = `
import json, sys
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics import parser as openparser
text = sys.stdin.read()
def samples(families):
    return [dict(name=s.name, type=f.type, unit=f.unit, labels=s.labels, value=s.value) for f in families for s in f.samples]
new = samples(openparser.text_string_to_metric_families(text))
old = samples(parser.text_string_to_metric_families(text))
assert [(s["name"], s["labels"], s["value"]) for s in new] == [(s["name"], s["labels"], s["value"]) for s in old]
print(json.dumps(new))
`;

function parse(text: string): Sample[] {
  ensurePackages(["python3-prometheus-client"]);
  return JSON.parse(execFileSync("/usr/bin/python3", ["-c", PARSE], { input: text, encoding: "utf8" })) as Sample[];
}

describe("the metrics", () => {
  const value = (samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}) =>
    samples.find((one) => one.name === name && Object.entries(labels).every(([key, text]) => one.labels[key] === text))
      ?.value;

  test("are those of the last swap", async () => {
    const { status, stdout } = await report(stateWith(directory, back(), record()), "--metrics");
    assert.equal(status, 0);
    const samples = parse(stdout);
    assert.ok(samples.every(({ type, name }) => type === "gauge" && name.startsWith("kmonte_swap_")));
    for (const { name, unit: of } of samples) assert.equal(of, /_(seconds|bytes)$/.exec(name)?.[1] ?? "", name);
    assert.equal(value(samples, "kmonte_swap_pause_seconds"), 10);
    assert.equal(value(samples, "kmonte_swap_kernel_seconds"), 4);
    assert.equal(value(samples, "kmonte_swap_unit_pause_seconds", { unit: "redis-server.service" }), 9.76);
    assert.equal(value(samples, "kmonte_swap_unit_went_on", { unit: "redis-server.service" }), 1);
    assert.equal(value(samples, "kmonte_swap_step_seconds", { step: "kernel" }), 3.1);
    assert.equal(value(samples, "kmonte_swap_info", { state: "done", to: "6.12.9-amd64", kind: "swap" }), 1);
    assert.equal(value(samples, "kmonte_swap_done"), 1);
    assert.equal(value(samples, "kmonte_swap_written_bytes"), 200 << 20);
  });
  test("say that it went back, and leave out what is not known", () => {
    const [gone, pending] = [parse(metricsText(reportOf(back()))), parse(metricsText(reportOf(waiting())))];
    assert.deepEqual([value(gone, "kmonte_swap_done"), value(gone, "kmonte_swap_went_back")], [0, 1]);
    assert.equal(value(pending, "kmonte_swap_done"), 0);
    assert.ok(!pending.some(({ name }) => /pause_seconds|running_timestamp/.test(name)));
  });
  test("hold any text in their labels", () => {
    const name = 'weird\\x2d"{}\n,= é.service';
    const samples = parse(metricsText(reportOf(record({ units: [unit(name, 5)], to: name }))));
    assert.equal(value(samples, "kmonte_swap_unit_went_on", { unit: name }), 1);
    assert.equal(value(samples, "kmonte_swap_info", { to: name }), 1);
  });
  test("go where the settings say", () => {
    const settings = join(directory, "metrics.conf");
    writeFileSync(settings, "# where\n/srv/one # the first\n\n/srv/two\n");
    assert.deepEqual(metricsFolders(settings), ["/srv/one", "/srv/two"]);
    writeFileSync(settings, "# nowhere\n");
    assert.deepEqual(metricsFolders(settings), []);
    writeFileSync(settings, "srv\n");
    assert.throws(() => metricsFolders(settings), { code: "METRICS_SETTINGS", message: /"srv" is no absolute path/ });
  });
});

describe("the file of a report", () => {
  const state = stateWith(directory, record());
  const folder = mkdtempSync(join(directory, "files-"));

  for (const [option, text] of [
    ["--html", /^<!doctype html>[^]*<\/html>\s*$/],
    ["--metrics", /^# TYPE kmonte[^]*# EOF\n$/],
  ] as const) {
    test(`of ${option} is replaced as a whole`, async () => {
      const file = join(folder, "report");
      writeFileSync(file, "old", { mode: 0o600 });
      const before = statSync(file).ino;
      assert.equal((await report(state, option, file)).status, 0);
      assert.match(readFileSync(file, "utf8"), text);
      assert.notEqual(statSync(file).ino, before);
      assert.equal(statSync(file).mode & 0o777, option === "--metrics" ? 0o644 : 0o666 & ~process.umask());
      assert.deepEqual(readdirSync(folder), ["report"]);
      const said = await report(state, option, file, "--json");
      assert.deepEqual(JSON.parse(said.stdout), { file });
    });
    test(`of ${option} may be standard output`, async () => {
      assert.match((await report(state, option, "-")).stdout, text);
      const both = await report(state, option, "-", "--json");
      assert.deepEqual([both.status, parseError(both).code], [2, "USAGE"]);
    });
    test(`of ${option} that cannot be written is told, and nothing is left of it`, async () => {
      const small = join(folder, "small");
      mkdirSync(small);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k", "kmonte-test", small]);
      try {
        writeFileSync(join(small, "full"), "x".repeat(4096));
        const full = await report(state, option, join(small, "report"));
        assert.equal(full.status, 1);
        assert.match(
          full.stderr,
          /small\/report was not written\. \[REPORT_NOT_WRITTEN\]\n[^]*ENOSPC\.\n +Free some space/,
        );
        assert.deepEqual(readdirSync(small), ["full"]);
      } finally {
        execFileSync("umount", [small]);
        rmSync(small, { recursive: true });
      }
      const missing = await report(state, option, join(folder, "no/report"));
      assert.match(
        missing.stderr,
        /REPORT_NOT_WRITTEN[^]*open failed with ENOENT\.\n +Make its folder first: mkdir -p \S+\/no\n/,
      );
      assert.equal(missing.status, 1);
    });
    test(`of ${option} takes the place of no device, folder or FIFO`, async () => {
      const fifo = join(folder, "fifo");
      execFileSync("mkfifo", [fifo]);
      symlinkSync("/dev/null", join(folder, "link"));
      for (const path of [fifo, join(folder, "link"), folder]) {
        const said = await report(state, option, path, "--json");
        assert.deepEqual([said.status, parseError(said).code], [3, "REPORT_NOT_A_FILE"], path);
      }
      assert.ok(statSync("/dev/null").isCharacterDevice());
      rmSync(fifo);
      rmSync(join(folder, "link"));
    });
  }

  test("is one at a time, and of a swap that is on record", async () => {
    assert.equal((await report(state, "--html", "a", "--metrics")).status, 2);
    const none = await report(mkdtempSync(join(directory, "none-")), "--html", join(folder, "none"), "--json");
    assert.deepEqual([none.status, parseError(none).code], [3, "NO_SWAP_YET"]);
    assert.equal(existsSync(join(folder, "none")), false);
  });

  test("is not made of a last record that cannot be read", async () => {
    const broken = stateWith(directory, record(), record());
    const last = readdirSync(join(broken, "swap")).sort().at(-1) ?? "";
    writeFileSync(join(broken, "swap", last, "timeline.json"), "{");
    const said = await report(broken, "--metrics", "--json");
    assert.equal(parseError(said).code, "SWAP_RECORD_BROKEN");
  });
});

test("the last hundred records stay, and every image", () => {
  const state = stateWith(directory, ...Array.from({ length: 110 }, () => record()));
  const root = join(state, "swap");
  const ids = readdirSync(root).sort();
  const [kept = "", marked = ""] = ids;
  for (const [id, name] of [
    [kept, "7.core"],
    [marked, "thawed.json"],
  ] as const) {
    mkdirSync(join(root, id, "frozen"));
    writeFileSync(join(root, id, "frozen", name), "");
  }
  removeForgotten(root);
  assert.deepEqual(
    readRecords(root).map(({ id }) => id),
    [kept, ...ids.slice(-100)],
  );
});
