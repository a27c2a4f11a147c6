/**
 * The whole thing, on a Debian server in a virtual machine with kmonte's package: 6.1 → 6.12 by the timer and back by
 * hand, under units, a person who is logged in, and programs without a unit that would notice.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Clients } from "../../lab/clients.ts";
import { type Evidence, observe } from "../../lab/evidence.ts";
import { swapInGuest } from "../../lab/guest-swap.ts";
import { judge } from "../../lab/judge.ts";
import { Login } from "../../lab/login.ts";
import { Machine } from "../../lab/machine.ts";
import { PORTS } from "../../lab/places.ts";
import { openServices } from "../../lab/services.ts";
import { observeServer, type ServerEvidence } from "../../lab/unit-evidence.ts";
import { judgeServer } from "../../lab/unit-judge.ts";
import { startWorkloads, type Workloads } from "../../lab/workloads.ts";
import { parseResult } from "../json-schemas.ts";

/** How long an emulated guest may take to start a service again. */
const RESTART_MS = 60_000;

/** Enough for redis to have something to lose; the demonstration takes more. */
const MEBIBYTES = 32;

/** A service that starts programs all the time, as a script does: each is gone a moment later. */
const SCRIPT = `[Service]
ExecStart=/bin/sh -c 'n=0; while :; do n=$$((n + 1)); echo $$n >>/var/lib/lab/turns; sleep 1; done'

[Install]
WantedBy=multi-user.target
`;

const SETTINGS = "Health=redis-cli ping\nHealth=systemctl is-active nginx\nMail=root\n";

/** The timer at once, and once; the programs without a unit are named by an administrator's own line. */
const TIMER = "[Timer]\nOnCalendar=\nRandomizedDelaySec=0\nOnActiveSec=1\nAccuracySec=1\n";
const swapUnit = (pids: readonly number[]): string =>
  `[Service]\nExecStart=\nExecStart=/usr/bin/kmonte swap --unattended ${pids.map((pid) => `--pid ${pid}`).join(" ")}\n`;

/**
 * Has the timer start the swap, and waits for it; it ends only when the swap does without a change of kernel. Asking
 * systemd takes the emulated processor away from what is asked about.
 */
const BY_TIMER = `systemctl start kmonte-swap.timer
state() { systemctl show -P ActiveState kmonte-swap.service; }
for i in $(seq 120); do [ "$(state)" = activating ] && break; sleep 1; done
while [ "$(state)" = activating ]; do sleep 15; done
systemctl list-jobs; journalctl -b -o cat --no-pager -u kmonte-swap.service -u kmonte-swap.timer; exit 1`;

const UNITS = ["redis-server", "nginx", "ssh", "memcached", "script"];

interface Seen {
  readonly server: ServerEvidence;
  readonly programs: Evidence;
}

async function look(machine: Machine, workloads: Workloads): Promise<Seen> {
  return { server: await observeServer(machine, UNITS), programs: await observe(machine, workloads) };
}

interface Swapped {
  readonly seen: Seen;
  readonly gapSeconds: number;
}

interface Turn {
  readonly to: string;
  readonly begin?: readonly string[];
}

async function swapAndJudge(machine: Machine, workloads: Workloads, before: Seen, turn: Turn): Promise<Swapped> {
  const { to } = turn;
  const said: string[] = [];
  const pids = Object.values(workloads.pids);
  const report = await swapInGuest(machine, { ...turn, pids, onLine: (line) => said.push(line) });
  assert.equal(report.state, "done");
  assert.ok(report.gapSeconds !== undefined && report.gapSeconds > 0, "the report says how long they stood still");
  const steps = report.lines.map(({ step }) => step);
  for (const step of ["load", "stop-others", "stop", "write", "sync", "kexec", "kernel", "userland"]) {
    assert.ok(steps.includes(step), `the timeline has ${step}: ${steps.join(" ")}`);
  }
  for (const unit of UNITS) {
    const after = report.units?.find(({ name }) => name === `${unit}.service`)?.after;
    assert.equal(after?.activeState, "active", `${unit} in the report`);
  }
  await delay(2_000);
  const seen = await look(machine, workloads);
  const checks = [...judgeServer(before.server, seen.server, to), ...judge(before.programs, seen.programs)];
  const wrong = checks.filter((check) => !check.ok);
  assert.deepEqual(wrong, [], `${JSON.stringify(wrong)}\n${said.join("\n")}`);
  return { seen, gapSeconds: report.gapSeconds };
}

test(
  "five units, a session, programs and connections go on across a swap, and another",
  { timeout: 45 * 60_000 },
  async (t) => {
    await using machine = await Machine.boot({
      system: { debian: "12", kind: "server" },
      kernel: "6.1",
      kernels: ["6.12"],
      ports: Object.values(PORTS),
      packaged: true,
    });
    const shell = async (script: string): Promise<string> => (await machine.output(["sh", "-c", script])).trim();
    using login = await Login.make();
    const services = await openServices(machine, { mebibytes: MEBIBYTES, publicKey: login.publicKey });
    const workloads = await startWorkloads(machine);
    await machine.put("/etc/systemd/system/script.service", SCRIPT);
    await machine.output(["systemctl", "enable", "--now", "script"]);
    using clients = new Clients(machine, services, login);
    await clients.atWork();
    await machine.output(["kmonte", "protect", ...UNITS]);
    const before = await look(machine, workloads);
    let between = before;
    let longest = 0;
    await t.test("6.1 → 6.12, by the timer", async () => {
      await machine.put("/etc/kmonte/swap.conf", SETTINGS);
      await machine.put("/etc/systemd/system/kmonte-swap.timer.d/now.conf", TIMER);
      await machine.put(
        "/etc/systemd/system/kmonte-swap.service.d/programs.conf",
        swapUnit(Object.values(workloads.pids)),
      );
      await shell("systemctl daemon-reload");
      const begin = ["sh", "-c", BY_TIMER];
      ({ seen: between, gapSeconds: longest } = await swapAndJudge(machine, workloads, before, { to: "6.12", begin }));
    });
    await t.test("its result is in the mail, and there is nothing more to do", async () => {
      // It is handed to the mail transport agent at the end of the boot, which delivers it a moment later.
      await shell("for i in $(seq 400); do [ -s /var/mail/root ] && break; sleep 1; done");
      assert.match(
        await shell("cat /var/mail/root || { systemctl list-jobs; journalctl -b -o cat -u kmonte-result; mailq; }"),
        /^Subject: kmonte on lab: Linux 6\.1\S* to 6\.12\S*, paused for \d+ s$/m,
      );
      const { unchanged } = parseResult<{ unchanged: { why: string } }>(
        "swap --unattended",
        await shell("kmonte swap --unattended --json"),
      );
      assert.match(unchanged.why, /the newest in \/boot, is running/);
    });
    await t.test("6.12 → 6.1: again, with the clocks of two swaps", async () => {
      const { gapSeconds } = await swapAndJudge(machine, workloads, between, { to: "6.1" });
      longest = Math.max(longest, gapSeconds);
    });
    await t.test(
      "no client outside was cut off, lost or doubled a byte, or waited for much longer than the swap",
      async () => {
        const checks = await clients.finish(longest);
        assert.deepEqual(
          checks.filter(({ ok }) => !ok),
          [],
        );
      },
    );
    await t.test("a script counted on", async () => {
      const turns = (await machine.get("/var/lib/lab/turns")).toString().trim().split("\n").map(Number);
      assert.deepEqual(
        turns.filter((turn, i) => turn !== i + 1),
        [],
      );
    });
    await t.test("units do what they did before", async () => {
      const main = (unit: string) => shell(`systemctl show -P MainPID ${unit}`);
      const nginx = await main("nginx");
      await shell("systemctl reload nginx");
      assert.equal(await main("nginx"), nginx);
      const redis = await main("redis-server");
      await shell("systemctl kill -s KILL redis-server");
      const isAnew = async (): Promise<boolean> =>
        (await shell("systemctl is-active redis-server || true")) === "active" &&
        (await main("redis-server")) !== redis;
      for (const end = Date.now() + RESTART_MS; !(await isAnew()); await delay(500))
        assert.ok(Date.now() < end, "Restart= starts it again");
      await shell("systemctl stop memcached script");
      assert.equal(await shell("pgrep -x memcached; systemctl show -P MainPID script"), "0");
    });
  },
);

test("a swap that cannot be made leaves everything as it was", { timeout: 10 * 60_000 }, async () => {
  await using machine = await Machine.boot({ kernel: "6.1", kernels: ["6.12"] });
  const pid = await machine.start(["sleep", "1000"], "/var/lib/lab/sleep.log");
  const attempts = [
    { argv: ["--to", "4.19", "--pid", String(pid)], says: /4\.19/ },
    { argv: ["--to", "/etc/passwd", "--pid", String(pid)], says: /no kernel/ },
    { argv: ["--to", "6.12", "--pid", "4000000"], says: /4000000/ },
    { argv: ["--to", "6.12", "--pid", "2"], says: /2/ },
  ];
  for (const { argv, says } of attempts) {
    const { code, stdout, stderr } = await machine.run(["kmonte", "swap", "--yes", ...argv]);
    assert.notEqual(code, 0, argv.join(" "));
    assert.match(stderr.toString() + stdout.toString(), says);
  }
  assert.equal(await machine.output(["cat", `/proc/${pid}/comm`]), "sleep\n");
  assert.equal((await machine.output(["cat", "/sys/kernel/kexec_loaded"])).trim(), "0");
  assert.equal((await machine.output(["sh", "-c", "ls -A /var/lib/kmonte/swap 2>/dev/null || true"])).trim(), "");
  assert.equal(machine.boots.length, 1);
});
