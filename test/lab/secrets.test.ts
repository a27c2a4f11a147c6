/**
 * In one guest with a real systemd: ordinary users ask at the door that its units keep open, and a swap whose images are
 * never on disk in the clear, and are gone when all is well.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CHECKOUT } from "../../lab/cache.ts";
import { Machine } from "../../lab/machine.ts";
import type { SwapReport } from "../../src/swap/report.ts";

const USER = 1717;
const HOME = "/home/somebody";
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

test("the door's units, and an encrypted swap", { timeout: 20 * 60_000 }, async (t) => {
  await using machine = await Machine.boot({ kernel: "6.1", kernels: ["6.12"] });
  await machine.put("/usr/local/bin/keeper", KEEPER, 0o755);

  await t.test("an ordinary user freezes and thaws through the socket unit", async () => {
    for (const name of ["kmonte-door.service", "kmonte-door.socket"]) {
      const text = readFileSync(join(CHECKOUT, "systemd", name), "utf8");
      await machine.put(`/etc/systemd/system/${name}`, text);
    }
    await shell(machine, "ln -sf /opt/kmonte/bin/kmonte /usr/bin/kmonte");
    await shell(machine, "systemd-analyze verify --man=no /etc/systemd/system/kmonte-door.*");
    await shell(machine, "systemctl daemon-reload && systemctl enable --now kmonte-door.socket 2>&1");
    await shell(machine, `mkdir -p ${HOME} && chown ${USER}:${USER} ${HOME}`);
    const as = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "env", `HOME=${HOME}`];
    const run = `cd ${HOME} && exec keeper </dev/null >>out 2>&1`;
    const pid = await machine.start([...as, "sh", "-c", run], "/var/lib/lab/user.log");
    await shell(machine, `until [ -s ${HOME}/out ]; do sleep 0.2; done`);
    const ask = async (...argv: string[]) => {
      const { code, stdout, stderr } = await machine.run([...as, "kmonte", ...argv]);
      return { code, text: `${stdout.toString()}${stderr.toString()}` };
    };
    const frozen = await ask("freeze", String(pid), "-o", `${HOME}/image`);
    assert.equal(frozen.code, 0, frozen.text);
    assert.equal(await shell(machine, `stat -c %u:%a ${HOME}/image`), `${USER}:700`);
    assert.equal(await shell(machine, "systemctl is-active kmonte-door.service"), "active");
    const thawed = await ask("thaw", `${HOME}/image`, "--remove");
    assert.equal(thawed.code, 0, thawed.text);
    assert.equal(await shell(machine, `ls -A ${HOME}/image`), "thawed.json");
    const status = await shell(machine, `cat /proc/${pid}/status`);
    assert.match(status, new RegExp(`^Uid:\\s+${USER}\\s+${USER}\\s+${USER}\\s+${USER}$`, "m"));
    // What has been thawed does not end with the service.
    await shell(machine, "systemctl stop kmonte-door.socket kmonte-door.service 2>&1");
    const before = Number(await shell(machine, `tail -n1 ${HOME}/out`));
    await shell(machine, `until [ $(tail -n1 ${HOME}/out) -gt ${before} ]; do sleep 0.2; done`);
    const root = await machine.start(["sleep", "1000"], "/var/lib/lab/sleep.log");
    await shell(machine, "systemctl start kmonte-door.socket 2>&1");
    const other = await ask("freeze", String(root), "-o", `${HOME}/other`);
    assert.equal(other.code, 3, other.text);
    assert.match(other.text, /NOT_YOURS/);
    await shell(machine, `kill ${pid} ${root}`);
  });

  await t.test("a swap that this machine could not open is refused, and nothing is stopped", async () => {
    const stranger = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const argv = ["kmonte", "swap", "--to", "6.12", "--pid", "1", "--encrypt-to", stranger];
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
      const answer = machine.run(["kmonte", "swap", "--to", to, "--pid", String(pid), ...options]).then(
        ({ stderr }) => assert.fail(`not swapped: ${stderr.toString()}`),
        () => undefined,
      );
      await Promise.race([machine.waitForKernel(to, earlier), answer.then(() => machine.waitForKernel(to, earlier))]);
      const settled = 'until kmonte report --json | grep -q \'"state": "done"\'; do sleep 1; done';
      await shell(machine, settled);
      const report = JSON.parse(await machine.output(["kmonte", "report", "--json"])) as SwapReport;
      assert.match(report.arrived ?? "", new RegExp(`^${to.replace(".", "\\.")}\\.`));
      assert.equal(await shell(machine, `cat /proc/${pid}/comm`), "keeper");
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
