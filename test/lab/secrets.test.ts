/**
 * A swap whose images are never on disk in the clear, and are gone when all is well; in a guest whose initramfs dracut
 * makes, with systemd in it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SLIM_WITH_DRACUT } from "../../lab/base.ts";
import { Machine } from "../../lab/machine.ts";
import { USERLAND_MARK } from "../../src/swap/initrd.ts";
import type { SwapReport } from "../../src/swap/report.ts";

const SECRET = "a-secret-that-only-memory-has";

/** Keeps a secret in memory, made of two halves so that no file has it, and counts. */
const KEEPER = `#!/usr/bin/python3
import sys, time
secret = "${SECRET.slice(0, 9)}" + "${SECRET.slice(9)}"
copies = [secret + str(i) for i in range(1000)]
number = 0
while True:
    number += 1
    print(number, flush=True)
    time.sleep(0.2)
`;

async function shell(machine: Machine, script: string): Promise<string> {
  return (await machine.output(["sh", "-c", script])).trim();
}

/** What is done before dracut's init begins was done, and left nothing behind. */
async function seeHook(machine: Machine, { notes, lines }: SwapReport): Promise<void> {
  assert.equal(notes, undefined);
  assert.equal(await shell(machine, `dmesg | grep -c '${USERLAND_MARK}'`), "1");
  const length = (name: string) => lines.find(({ step }) => step === name)?.seconds ?? 0;
  assert.ok(length("kernel") > 0 && length("initramfs") > 0 && length("userland") > 0, JSON.stringify(lines));
}

test("an encrypted swap", { timeout: 20 * 60_000 }, async (t) => {
  await using machine = await Machine.boot({ kernel: "6.1", kernels: ["6.12"], system: SLIM_WITH_DRACUT });
  await machine.put("/usr/local/bin/keeper", KEEPER, 0o755);

  await t.test("a swap that this machine could not open is refused, and nothing is stopped", async () => {
    const stranger = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const pid = await machine.start(["sleep", "1000"], "/var/lib/lab/sleep.log");
    const argv = ["kmonte", "swap", "--yes", "--to", "6.12", "--pid", String(pid), "--encrypt-to", stranger];
    const { code, stderr } = await machine.run(argv);
    assert.equal(code, 3);
    assert.match(stderr.toString(), /SWAP_NOT_OPENABLE/);
  });

  for (const [to, keep] of [
    ["6.12", true],
    ["6.1", false],
  ] as const) {
    await t.test(`an encrypted swap to ${to}, ${keep ? "kept" : "of which nothing stays"}`, async () => {
      if (keep) await shell(machine, "kmonte key new --encryption >/dev/null");
      const own = await shell(machine, "kmonte key list | sed -n 's/  encryption$//p'");
      const log = `/var/lib/lab/keeper-${to}.log`;
      const pid = await machine.start(["/usr/local/bin/keeper"], log);
      await shell(machine, `until [ -s ${log} ]; do sleep 0.2; done`);
      const earlier = machine.boots.length;
      const options = ["--encrypt-to", own, "--health", `test -d /proc/${pid}`, ...(keep ? ["--keep"] : [])];
      let said = "";
      const argv = ["kmonte", "swap", "--yes", "--to", to, "--pid", String(pid), ...options];
      const answer = machine
        .run(argv, (_, chunk) => (said += chunk.toString()))
        .then(
          ({ stderr }) => assert.fail(`not swapped: ${stderr.toString()}`),
          () => undefined,
        );
      await Promise.race([machine.waitForKernel(to, earlier), answer.then(() => machine.waitForKernel(to, earlier))]);
      const settled = 'until kmonte report --json | grep -q \'"state": "done"\'; do sleep 1; done';
      await shell(machine, settled);
      const report = JSON.parse(await machine.output(["kmonte", "report", "--json"])) as SwapReport;
      assert.match(report.arrived ?? "", new RegExp(`^${to.replace(".", "\\.")}\\.`));
      assert.equal(await shell(machine, `cat /proc/${pid}/comm`), "keeper");
      await seeHook(machine, report);
      assert.match(said, /lab-agent/);
      assert.doesNotMatch(said, /dracut-shutdown/, "there is no shutdown");
      const found = `for file in $(find /var/lib/kmonte -type f); do grep -lq '${SECRET}' "$file" && echo "$file"; done; true`;
      assert.equal(await shell(machine, found), "", "the secret is on the disk");
      const names = (await shell(machine, `ls -A ${report.directory}`)).split("\n");
      if (keep) assert.ok(names.includes(`${pid}.core.age`), names.join(" "));
      else assert.deepEqual(names, ["thawed.json"]);
      const before = Number(await shell(machine, `tail -n1 ${log}`));
      await shell(machine, `until [ $(tail -n1 ${log}) -gt ${before} ]; do sleep 0.2; done; kill ${pid}`);
    });
  }
});
