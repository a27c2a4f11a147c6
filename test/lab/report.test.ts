/**
 * The report of real departures, for those who were not there: the metrics that kmonte leaves by itself, as Debian's node
 * exporter serves them and promtool judges them, and the page.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { barriers, TestBrowser } from "../browser.ts";
import type { SwapReport } from "../../src/swap/report.ts";
import { parseResult } from "../json-schemas.ts";
import { Conversation, LINE_CLIENT } from "./conversation.ts";
import { countFrom, FIRST_BOOT, shell, suspend, suspendAndReturn } from "./suspending.ts";

const PATIENCE_MS = 15 * 60_000;
const PACKAGES = ["redis-server", "nginx", "memcached", "openssh-server", "prometheus", "prometheus-node-exporter"];
const FOLDER = "/var/lib/prometheus/node-exporter";
/** systemd writes what a name cannot have as \xNN. */
const STRANGE = "odd\\x20name.service";
const TEXT = `[Unit]
Description=<b>Odd</b> & "quoted"

[Service]
ExecStart=/usr/bin/sleep infinity
`;

const OPEN_REDIS = `sed -i 's/^bind .*/bind * -::*/; s/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf
systemctl restart redis-server`;

/** Asks redis all the time, and says of each line of its input how long it has waited at most since the last one. */
const BUSY = `import socket, sys, threading, time
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
longest = 0
def work():
    global longest
    while True:
        began = time.monotonic()
        link.sendall(b"PING\\r\\n")
        assert link.recv(100) == b"+PONG\\r\\n"
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.02)
threading.Thread(target=work, daemon=True).start()
for line in sys.stdin:
    print(longest, flush=True)
    longest = 0`;

const directory = mkdtempSync(join(tmpdir(), "kmonte-report-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** What Prometheus would get, once the exporter answers. */
function scrape(machine: NamespaceMachine): Promise<string> {
  const get = `import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:9100/metrics").read().decode())`;
  return shell(machine, `for i in $(seq 50); do python3 -c '${get}' 2>/dev/null && break; sleep 0.2; done`);
}

describe("the report of real departures", { timeout: PATIENCE_MS }, () => {
  test("is there for Prometheus and for people", async (t) => {
    await using machine = await NamespaceMachine.make({ debian: "12", packages: PACKAGES });
    assert.equal(await machine.boot({ beforeInit: FIRST_BOOT }), "running");
    await machine.put(`/etc/systemd/system/${STRANGE}`, TEXT);
    await machine.output(["systemctl", "start", STRANGE]);
    await shell(machine, OPEN_REDIS);
    await machine.output(["kmonte", "protect", "redis-server", "nginx", "memcached", STRANGE]);

    await t.test("the metrics lie where the node exporter looks, and are served", async () => {
      await suspendAndReturn(machine);
      assert.match(
        await shell(machine, `stat -c '%a %U' ${FOLDER}/kmonte.prom; ls -A ${FOLDER}`),
        /^644 root\nkmonte\.prom$/,
      );
      assert.equal(await shell(machine, `promtool check metrics <${FOLDER}/kmonte.prom 2>&1`), "");
      const served = await scrape(machine);
      assert.match(served, /^node_textfile_scrape_error 0$/m);
      assert.match(served, /^kmonte_swap_done 1$/m);
      assert.match(served, /^kmonte_swap_pause_seconds \d+(\.\d+)?$/m);
      assert.match(served, /^kmonte_swap_unit_pause_seconds\{unit="redis-server\.service"\} \d/m);
      assert.match(served, /^kmonte_swap_unit_went_on\{unit="odd\\\\x20name\.service"\} 1$/m);
    });

    await t.test("a client that waited is known by its pause, a silent one by its silence", async () => {
      const { host, port } = machine.network.reach(6379, false);
      using busy = new Conversation(machine, "python3", "-c", BUSY, host, String(port));
      using silent = new Conversation(machine, "python3", "-c", LINE_CLIENT, host, String(port));
      assert.equal(await silent.ask("PING"), "+PONG");
      await busy.ask("so far");
      await suspendAndReturn(machine);
      const own = Number(await busy.ask("and now"));
      const report = parseResult<SwapReport>("report", await machine.output(["kmonte", "report", "--json"]));
      const { connections = [], units = [] } = report;
      assert.deepEqual(
        connections.map(({ unit }) => unit),
        ["redis-server.service", "redis-server.service"],
      );
      const heard = connections.flatMap((one) => one.heard ?? []);
      assert.equal(heard.length, 1, JSON.stringify(connections));
      const stopped = units.find(({ name }) => name === "redis-server.service")?.stopped ?? 0;
      const pause = ((heard[0] ?? 0) - stopped) / 1000;
      assert.ok(Math.abs(pause - own) < 1.5, `${pause} s, and ${own} s by the client's own clock`);
      assert.equal(await silent.ask("PING"), "+PONG");
      const metrics = await shell(machine, `cat ${FOLDER}/kmonte.prom`);
      assert.match(metrics, /^kmonte_swap_connections 2$/m);
      assert.match(metrics, new RegExp(`^kmonte_swap_connection_pause_seconds ${pause}$`, "m"));
    });

    await t.test("they change with the next departure, in the folders of the settings alone", async () => {
      const before = await shell(machine, `cat ${FOLDER}/kmonte.prom`);
      await shell(machine, "mkdir -p /etc/kmonte /srv/metrics; echo '/srv/metrics # here' >/etc/kmonte/metrics.conf");
      const said = await suspend(machine, "--tolerate", "memcached");
      assert.equal(said, undefined, said?.stderr.toString());
      await machine.boot({ beforeInit: `${countFrom(9000)}touch /usr/bin/memcached\n` });
      await shell(machine, "systemctl start kmonte-hand-over.service");
      assert.equal(await shell(machine, `cat ${FOLDER}/kmonte.prom`), before);
      const now = await shell(machine, "cat /srv/metrics/kmonte.prom");
      assert.match(now, /^kmonte_swap_unit_went_on\{unit="memcached\.service"\} 0$/m);
      assert.match(now, /^kmonte_swap_unit_went_on\{unit="nginx\.service"\} 1$/m);
    });

    await t.test("a folder that is missing is told in the journal, and stops nothing", async () => {
      await shell(machine, "rm -r /srv/metrics");
      await suspendAndReturn(machine);
      const journal = await shell(machine, "journalctl -b -o cat -u kmonte-thaw -u kmonte-hand-over");
      assert.match(
        journal,
        /the metrics of the swap could not be written\. \/srv\/metrics\/kmonte\.prom.*mkdir -p \/srv\/metrics/,
      );
    });

    await t.test("the page shows all of it", async () => {
      const file = join(directory, "page.html");
      writeFileSync(file, await machine.output(["kmonte", "report", "--html", "-"]));
      await using browser = await TestBrowser.open();
      await using shown = await browser.show(file, { audited: true });
      const { page, requests } = shown;
      assert.deepEqual(await barriers(page), []);
      assert.deepEqual(requests, [page.url()]);
      assert.match(await page.locator("h1").innerText(), /^4 units were paused for \d+(\.\d+)? s; none was lost$/);
      const units = await page.locator("section:has(#units) tbody tr").allInnerTexts();
      assert.equal(units.length, 4);
      assert.ok(
        units.some((row) => row.includes(STRANGE) && row.includes('<b>Odd</b> & "quoted"') && row.includes("resumed")),
      );
      const last = await page.locator("section:has(#last) tbody tr").allInnerTexts();
      assert.deepEqual(
        last.map((row) => /done( without 1 unit)?/.exec(row)?.[0]),
        ["done", "done without 1 unit", "done", "done"],
      );
      assert.ok((await page.locator(".bar.thaw").count()) >= 3);
    });
  });
});
