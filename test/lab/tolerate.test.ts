/**
 * Units of which one cannot be thawed, because its program has been changed in between: by default none is, and systemd
 * starts all of them anew; a tolerated one alone is started anew, and the others go on.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { parseResult } from "../json-schemas.ts";
import { FIRST_BOOT, countFrom, mainPid, shell, suspend } from "./suspending.ts";
import { serverMachine } from "./server-machine.ts";

const PATIENCE_MS = 15 * 60_000;
const UNITS = ["redis-server", "nginx", "memcached", "cron", "haproxy"];
const CHANGED = "touch /usr/bin/memcached\n";

interface Report {
  readonly state: string;
  readonly directory?: string;
  readonly failure?: { readonly code: string };
  readonly units: readonly {
    readonly name: string;
    readonly directory?: string;
    readonly pauseSeconds?: number;
    readonly failure?: { readonly code: string };
    readonly after?: { readonly activeState: string };
  }[];
}

const pidsOf = (machine: NamespaceMachine): Promise<string[]> =>
  Promise.all(UNITS.map((unit) => mainPid(machine, unit)));

async function report(machine: NamespaceMachine): Promise<Report> {
  await shell(machine, "systemctl start kmonte-hand-over.service 2>/dev/null || true");
  return parseResult<Report>("report", await machine.output(["kmonte", "report", "--json"]));
}

async function nothingLeft(machine: NamespaceMachine): Promise<void> {
  for (const unit of UNITS) assert.equal(await shell(machine, `systemctl is-active ${unit}`), "active", unit);
  assert.equal(
    await shell(machine, "ls -d /etc/systemd/system/*.d /etc/systemd/system-generators 2>/dev/null || true"),
    "",
  );
  assert.equal(await shell(machine, "ls /var/lib/kmonte/swap/*/pending 2>/dev/null || true"), "");
  assert.equal(await shell(machine, "nft list tables 2>/dev/null | grep kmonte || true"), "");
}

describe("a thaw that fails for one unit of five", { timeout: PATIENCE_MS }, () => {
  test("takes the others along or not, as was asked for", async (t) => {
    await using machine = await NamespaceMachine.make(serverMachine("12"));
    assert.equal(await machine.boot({ beforeInit: FIRST_BOOT }), "running");
    assert.equal((await machine.run(["kmonte", "protect", ...UNITS])).code, 0);
    const time = await shell(machine, "stat -c %y /usr/bin/memcached");

    await t.test("tolerated, it alone is started anew, its image stays, and the others go on", async () => {
      const before = await pidsOf(machine);
      await shell(machine, "redis-cli set k kept");
      const said = await suspend(machine, "--tolerate", "memcached", "--tolerate", "cro*");
      assert.equal(said, undefined, said?.stderr.toString());
      assert.equal(await machine.boot({ beforeInit: CHANGED }), "running", machine.console());
      const { state, units } = await report(machine);
      assert.equal(state, "done");
      const now = await pidsOf(machine);
      UNITS.forEach((unit, i) => assert.equal(now[i] === before[i], unit !== "memcached", unit));
      await nothingLeft(machine);
      for (const unit of units) {
        assert.equal(unit.after?.activeState, "active", unit.name);
        const isTolerated = /^(memcached|cron)/.test(unit.name);
        assert.equal(unit.directory !== undefined, isTolerated, unit.name);
        assert.equal(unit.failure?.code, unit.name === "memcached.service" ? "FILE_CHANGED" : undefined);
        assert.equal(unit.pauseSeconds === undefined, unit.name === "memcached.service", unit.name);
        if (unit.pauseSeconds !== undefined) assert.ok(unit.pauseSeconds > 0 && unit.pauseSeconds < 60);
      }
      assert.equal(await shell(machine, "redis-cli get k"), "kept");
      assert.match(await shell(machine, "kmonte report"), /started anew, as its processes could not be thawed/);
      assert.match(await shell(machine, "journalctl -b -u kmonte-thaw"), /FILE_CHANGED/);
      const listed = await shell(machine, "kmonte services");
      assert.match(listed, /were not thawed, and their images are kept:\n {2}memcached\.service\n.*\[FILE_CHANGED\]/);
      const images = await shell(machine, "find /var/lib/kmonte/swap -name '*.core' | xargs -n1 dirname | sort -u");
      assert.match(images, /^\S+\/memcached\.service$/);
      // Whoever wants the old one back can have it.
      const image = units.find(({ failure }) => failure)?.directory;
      await shell(machine, `systemctl stop memcached; touch -d '${time}' /usr/bin/memcached`);
      await machine.output(["kmonte", "thaw", `${image}`]);
      assert.equal(await shell(machine, "pgrep -x memcached"), before[UNITS.indexOf("memcached")]);
      await shell(
        machine,
        `pkill -x memcached; while pgrep -x memcached; do sleep 0.1; done; rm -r ${image}; systemctl start memcached`,
      );
      await shell(machine, "systemctl start memcached");
    });

    await t.test("else all of them are started anew, once, and the images stay", async () => {
      const before = await pidsOf(machine);
      const said = await suspend(machine);
      assert.equal(said, undefined, said?.stderr.toString());
      await machine.boot({ beforeInit: CHANGED });
      const { state, failure, directory, units } = await report(machine);
      assert.equal(await shell(machine, "systemctl is-system-running || true"), "degraded");
      assert.deepEqual([state, failure?.code], ["failed", "FILE_CHANGED"]);
      const now = await pidsOf(machine);
      UNITS.forEach((unit, i) => assert.notEqual(now[i], before[i], unit));
      await nothingLeft(machine);
      assert.match(await shell(machine, "kmonte report"), /systemd has started the units anew/);

      const { keptImages } = parseResult<{ keptImages: object[] }>(
        "services",
        await shell(machine, "kmonte services --json"),
      );
      assert.deepEqual(
        keptImages.map((one) => ({ ...one, swap: "", frozenAt: "", processes: [], failure: { code: failure?.code } })),
        [
          {
            swap: "",
            frozenAt: "",
            units: units.map(({ name }) => name),
            processes: [],
            directories: [directory],
            failure: { code: "FILE_CHANGED" },
          },
        ],
      );

      // The next boot does not bring the past back; a person can.
      assert.equal(await machine.reboot({ beforeInit: countFrom(25_000) }), "running");
      await nothingLeft(machine);
      await shell(
        machine,
        `systemctl stop ${UNITS.join(" ")}; rm -f /run/crond.pid /run/haproxy.pid; touch -d '${time}' /usr/bin/memcached`,
      );
      await machine.output(["kmonte", "thaw", `${directory}`]);
      assert.equal(await shell(machine, "redis-cli get k"), "kept");
      for (const pid of before) assert.equal(await shell(machine, `test -d /proc/${pid} && echo there`), "there");
    });
  });
});
