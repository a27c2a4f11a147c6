/**
 * What is said before anything is done: what cannot be asked for, with code, reason and remedy and nothing stopped, and how
 * long units would stand still. In a machine of namespaces with its own systemd.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { parseResult } from "../json-schemas.ts";
import { serverMachine } from "./server-machine.ts";
import { countFrom, mainPid, shell, suspend } from "./suspending.ts";

const PATIENCE_MS = 15 * 60_000;
/** Does not end when it is told to: its ExecStop= takes longer than it may. */
const SLOW = `[Service]
ExecStart=/bin/sleep 10000
ExecStop=/bin/sleep 1000
TimeoutStopSec=7
[Install]
WantedBy=multi-user.target
`;
/** Two units with a FIFO (fifo(7)) between them. */
const WRITER = `[Service]
ExecStartPre=/bin/sh -c 'test -p /var/lib/fifo || mkfifo /var/lib/fifo'
ExecStart=/bin/sh -c 'exec 3<>/var/lib/fifo; while :; do sleep 1000; done'
`;
const READER = `[Service]
ExecStart=/bin/sh -c 'read -r line </var/lib/fifo'
`;
const LISTENER = `[Service]
ExecStart=/usr/bin/redis-cli subscribe lab
KeyringMode=inherit
`;

let machine: NamespaceMachine;

/** Fails twice, for people and for scripts, with this code, and no unit has another main process afterwards. */
async function refuses(code: string, ...args: string[]): Promise<string> {
  const running = "systemctl show -P MainPID nginx redis-server cron slow 2>/dev/null";
  const pids = await shell(machine, running);
  const person = await machine.run(["kmonte", ...args]);
  assert.equal(person.code, 3, person.stderr.toString() + person.stdout.toString());
  // What happened with its code, and below it at least a reason or a remedy.
  assert.match(person.stderr.toString(), new RegExp(`^kmonte: .*\\[${code}\\]\n +\\S`, "m"));
  assert.doesNotMatch(person.stderr.toString(), /^ +at /m);
  const script = await machine.run(["kmonte", ...args, "--json"]);
  assert.equal(script.code, 3, script.stderr.toString());
  const { error } = parseResult<{ error: { code: string; remedy?: string } }>("error", script.stdout);
  assert.equal(error.code, code);
  assert.ok(error.remedy, `${code} has a remedy`);
  assert.equal(await shell(machine, running), pids, `${code}: nothing was stopped`);
  return person.stderr.toString();
}

const state = (unit: string): Promise<string> => shell(machine, `systemctl is-active ${unit} || true`);

async function eventually(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 30_000; !(await isSo()); await delay(100))
    assert.ok(Date.now() < end, `${what} did not come`);
}

describe("before units are taken along", { timeout: PATIENCE_MS }, () => {
  before(async () => {
    machine = await NamespaceMachine.make(serverMachine("12"));
    assert.equal(await machine.boot({ beforeInit: countFrom(5000) }), "running");
    const units = { slow: SLOW, listener: LISTENER, writer: WRITER, reader: READER };
    for (const [name, text] of Object.entries(units)) await machine.put(`/etc/systemd/system/${name}.service`, text);
    await shell(machine, "systemctl daemon-reload");
    await shell(machine, "systemctl start slow");
  });
  after(() => machine?.[Symbol.asyncDispose]());

  test("names that stand for no unit that runs are refused", async () => {
    await refuses("NO_SUCH_UNIT", "protect", "nosuch");
    await refuses("NO_SUCH_UNIT", "protect", "no such");
    assert.match(await refuses("UNIT_TEMPLATE", "protect", "getty@"), /getty@\*/);
    await shell(machine, "systemctl mask --now cron");
    await refuses("UNIT_MASKED", "protect", "cron");
    await shell(machine, "systemctl unmask cron");
    await refuses("UNIT_NOT_RUNNING", "protect", "cron");
    await shell(machine, "systemctl start cron");
    assert.equal(await shell(machine, "ls /etc/kmonte/protect.d 2>/dev/null || true"), "", "nothing was written");
    await refuses("NOT_PROTECTED", "unprotect", "nginx");
    await refuses("NOTHING_PROTECTED", "suspend", "--plan");
  });

  test("what is protected and has gone since is refused by name", async () => {
    await machine.output(["kmonte", "protect", "nginx", "redis-server", "cron"]);
    await shell(machine, "systemctl stop cron");
    assert.match(await refuses("UNIT_NOT_RUNNING", "suspend", "--yes"), /systemctl start cron\.service/);
    await shell(machine, "systemctl mask cron");
    await refuses("UNIT_MASKED", "suspend", "--plan");
    await machine.put("/etc/kmonte/protect.d/other.conf", "gone.service\n");
    assert.match(await refuses("UNITS_IN_THE_WAY", "suspend", "--plan"), /UNIT_MASKED[^]*NO_SUCH_UNIT/);
    await shell(machine, "systemctl unmask cron; systemctl start cron");
    await machine.put("/etc/kmonte/protect.d/other.conf", "gone.service\n");
    await refuses("NO_SUCH_UNIT", "suspend", "--plan");
    await machine.put("/etc/kmonte/protect.d/other.conf", "a b\n");
    await refuses("PROTECT_FILE", "suspend", "--plan");
    await machine.put("/etc/kmonte/protect.d/other.conf", "getty@\n");
    await refuses("UNIT_TEMPLATE", "suspend", "--plan");
    await shell(machine, "rm /etc/kmonte/protect.d/other.conf");
  });

  test("a unit that shares something with others cannot be tolerated", async () => {
    await refuses("TOLERATED_NOT_ALONG", "suspend", "--plan", "--tolerate", "ngin");
    await shell(machine, "systemctl start writer; sleep 1; systemctl start reader; sleep 1");
    await machine.output(["kmonte", "protect", "reader", "writer"]);
    assert.equal((await machine.run(["kmonte", "suspend", "--plan"])).code, 0, "together they can go");
    assert.match(await refuses("CANNOT_TOLERATE", "suspend", "--plan", "--tolerate", "reader"), /fifo/);
    const { removed } = parseResult("unprotect", await shell(machine, "kmonte unprotect reader writer --json"));
    assert.deepEqual(removed, ["reader.service", "writer.service"]);
    await shell(machine, "systemctl stop reader writer");
  });

  test("a kernel cannot be changed from a container, and nothing without root", async () => {
    await refuses("IN_CONTAINER", "swap", "--to", "6.1", "--plan");
    for (const verb of [["services"], ["protect", "nginx"], ["unprotect", "nginx"], ["swap", "--plan"], ["suspend"]]) {
      const command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "kmonte", ...verb, "--json"];
      const said = await machine.run(command);
      assert.equal(said.code, 3, verb[0]);
      const { error } = parseResult<{ error: { code: string } }>("error", said.stdout);
      assert.equal(error.code, "NOT_ROOT", verb[0]);
    }
  });

  test("without systemd, the machine is named as such", async () => {
    const hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh", "kmonte"];
    for (const verb of [["services"], ["protect", "nginx"], ["suspend", "--yes"]]) {
      const said = await machine.run([...hidden, ...verb, "--json"]);
      assert.equal(said.code, 3, said.stderr.toString());
      const { error } = parseResult<{ error: { code: string } }>("error", said.stdout);
      assert.equal(error.code, "NO_SYSTEMD", verb[0]);
    }
  });

  test("output that nobody reads any more is no failure", async () => {
    for (const command of ["services", "services --json", "suspend --plan"]) {
      const said = await machine.run(["bash", "-c", `kmonte ${command} | : ; echo "\${PIPESTATUS[0]}"`]);
      assert.equal(said.stdout.toString().trim(), "0", command);
      assert.equal(said.stderr.toString(), "", command);
    }
  });

  test("a full disk is found before anything is stopped", async () => {
    await shell(machine, "fallocate -l $(($(stat -f -c '%a * %S' /var) - (6 << 20))) /var/much");
    assert.match(await refuses("NO_ROOM_FOR_IMAGES", "suspend", "--yes"), /MiB/);
    await shell(machine, "rm /var/much");
  });

  test("a departure waits for a slow unit, tells of it, and can be broken off; another one has to wait", async () => {
    await shell(machine, "kmonte suspend --restart --yes >/root/said 2>&1 & echo $! >/root/pid");
    await eventually(async () => (await state("slow")) === "deactivating", "the stop of slow.service");
    assert.equal(await state("nginx"), "active", "what goes along serves meanwhile");
    const second = await machine.run(["kmonte", "suspend", "--restart", "--yes", "--json"]);
    assert.match(second.stdout.toString(), /"SWAP_IN_PROGRESS"/);
    const isTold = /waits for slow\.service \(7s at most\)/;
    await eventually(async () => isTold.test(await shell(machine, "cat /root/said")), "word of it");
    await shell(machine, "kill -INT $(cat /root/pid); while kill -0 $(cat /root/pid); do sleep 0.1; done 2>/dev/null");
    assert.match(await shell(machine, "cat /root/said"), /\[INTERRUPTED\]/);
    assert.equal(await state("slow"), "active", "started again");
    assert.equal(await shell(machine, "ls /var/lib/kmonte/swap"), "", "nothing is left");
  });

  test("how long it takes is estimated, and told to be an estimate", async (t) => {
    interface Plan {
      readonly pauseBasis: string;
      readonly along: readonly { readonly unit: string; readonly expectedPauseSeconds: number }[];
    }
    const planned = async (): Promise<Plan> =>
      parseResult<Plan>("suspend --plan", await machine.output(["kmonte", "suspend", "--restart", "--plan", "--json"]));
    const first = await planned();
    assert.match(first.pauseBasis, /^A rough estimate, as no such departure is on record/);
    assert.equal(first.along.length, 3);
    for (const { expectedPauseSeconds } of first.along) assert.ok(expectedPauseSeconds > 0);
    const said = await machine.output(["kmonte", "services"]);
    assert.match(said, /nginx\.service .*would be paused for about \d+(\.\d)? s/);
    assert.match(said, /rough estimate/);
    assert.equal(said.match(/note:/g)?.length ?? 0, new Set(said.match(/note:.*/g)).size, "each note once");

    const pid = await mainPid(machine, "nginx");
    // A connection between two sets is as one between two machines.
    await shell(machine, "systemctl start listener; kmonte protect listener");
    const answer = await suspend(machine, "--tolerate", "listener");
    assert.equal(answer, undefined, answer?.stderr.toString());
    await delay(2000);
    assert.equal(await machine.boot({}), "running", machine.console());
    await shell(machine, "systemctl start kmonte-hand-over.service 2>/dev/null || true");
    assert.equal(await mainPid(machine, "nginx"), pid);
    await shell(machine, "redis-cli publish lab heard; sleep 1");
    assert.match(await shell(machine, "journalctl -b -u listener -o cat"), /heard/);
    const report = parseResult<{
      id: string;
      notes: string[];
      units: { name: string; pauseSeconds: number }[];
    }>("report", await machine.output(["kmonte", "report", "--json"]));
    assert.ok(report.notes.some((note) => note.startsWith("slow.service did not stop within 7s")));
    assert.match(await machine.output(["kmonte", "report"]), /note: slow\.service did not stop within 7s/);
    const second = await planned();
    assert.ok(second.pauseBasis.includes(report.id), second.pauseBasis);
    const took = report.units.find(({ name }) => name === "nginx.service")?.pauseSeconds ?? 0;
    const expected = second.along.find(({ unit }) => unit === "nginx.service")?.expectedPauseSeconds ?? 0;
    t.diagnostic(`took ${took} s, the next one is expected to take ${expected} s`);
    assert.ok(took > 2 && expected > took / 2 && expected < took * 2, `${took} s, ${expected} s`);
  });
});
