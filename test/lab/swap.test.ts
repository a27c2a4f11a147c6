/** The whole thing, on a real Debian in a virtual machine: 6.1 → 6.12 and back, under programs that would notice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Clients } from "../../lab/clients.ts";
import { type Evidence, observe } from "../../lab/evidence.ts";
import { swapInGuest } from "../../lab/guest-swap.ts";
import { judge } from "../../lab/judge.ts";
import { Machine } from "../../lab/machine.ts";
import { PORTS, startWorkloads, type Workloads } from "../../lab/workloads.ts";

/** Enough for the programs to have something to lose; the demonstration takes more. */
const MEBIBYTES = 32;

interface Seen {
  readonly evidence: Evidence;
  readonly gapSeconds: number;
}

async function swapAndJudge(machine: Machine, workloads: Workloads, before: Evidence, to: string): Promise<Seen> {
  const said: string[] = [];
  const pids = Object.values(workloads.pids);
  const report = await swapInGuest(machine, { to, pids, onLine: (line) => said.push(line) });
  assert.equal(report.state, "done");
  assert.ok(report.gapSeconds !== undefined && report.gapSeconds > 0, "the report says how long they stood still");
  const steps = report.lines.map(({ step }) => step);
  for (const step of ["load", "stop", "write", "sync", "kexec", "kernel", "userland"]) {
    assert.ok(steps.includes(step), `the timeline has ${step}: ${steps.join(" ")}`);
  }
  await delay(2_000);
  const after = await observe(machine, workloads);
  const wrong = judge(before, after, to).filter((check) => !check.ok);
  assert.deepEqual(wrong, [], `${JSON.stringify(wrong)}\n${said.join("\n")}`);
  return { evidence: after, gapSeconds: report.gapSeconds };
}

test("programs and connections go on across 6.1 → 6.12 → 6.1", { timeout: 25 * 60_000 }, async (t) => {
  await using machine = await Machine.boot({ kernel: "6.1", kernels: ["6.12"], ports: Object.values(PORTS) });
  const workloads = await startWorkloads(machine, { mebibytes: MEBIBYTES });
  using clients = new Clients(machine, workloads);
  const before = await observe(machine, workloads);
  let between = before;
  let longest = 0;
  await t.test("6.1 → 6.12", async () => {
    ({ evidence: between, gapSeconds: longest } = await swapAndJudge(machine, workloads, before, "6.12"));
  });
  await t.test("6.12 → 6.1: the clocks of two swaps add up", async () => {
    const { gapSeconds } = await swapAndJudge(machine, workloads, between, "6.1");
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
});

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
