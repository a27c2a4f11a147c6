/**
 * The ways back, each with a new kernel that really fails: the machine returns to the old one by itself, and the same
 * image goes on there. The guest is started with the old kernel by QEMU itself: that stands for the firmware and its
 * default entry.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Machine } from "../../lab/machine.ts";
import { formatReport, type SwapReport } from "../../src/swap/report.ts";
import { parseResult } from "../json-schemas.ts";
import { unlessThorough } from "../thorough.ts";

const OLD = "6.1";
const NEW = "6.12";
const LINES = "/var/lib/lab/pulse";
const PATIENCE_MS = 600_000;

/** Counts in its memory, and hands every number to a child through a pipe, which writes it down. */
const PULSE = `#!/usr/bin/python3
import os, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(writer)
    lines = open("${LINES}", "ab", buffering=0)
    for line in os.fdopen(reader, "rb"):
        lines.write(line)
    os._exit(0)
number = 0
while True:
    number += 1
    os.write(writer, b"%d\\n" % number)
    time.sleep(0.1)
`;

interface Trouble {
  readonly name: string;
  /** What is typed beside --to and --pid. */
  readonly options: readonly string[];
  /** What the report says of the new kernel's try. */
  readonly code: string;
  readonly back?: "kexec" | "firmware";
  readonly says: RegExp;
  /** A kind of its own: the others differ from one of these in how the kernel fails alone. */
  readonly isTriedAlways?: boolean;
}

const TROUBLES: readonly Trouble[] = [
  {
    name: "a thaw that fails",
    options: ["--append", "clearcpuid=avx2"],
    code: "CPU_FEATURE",
    back: "kexec",
    says: /lacks avx2/,
  },
  {
    name: "a kernel that panics at boot",
    // Without an init of its own the initramfs is of no use, and the kernel knows no labels.
    options: ["--append", "rdinit=/nowhere"],
    code: "KERNEL_NOT_ARRIVED",
    says: /panicked, hung/,
    isTriedAlways: true,
  },
  {
    name: "a kernel without the module of its disk",
    options: ["--append", "module_blacklist=virtio_blk rootdelay=1"],
    code: "KERNEL_NOT_ARRIVED",
    says: /did not find its disks/,
  },
  {
    name: "a kernel that hangs",
    options: ["--append", "init=/bin/cat", "--deadline", "25"],
    code: "KERNEL_NOT_ARRIVED",
    says: /hung/,
  },
  {
    name: "a health command that says no",
    // Reached long after the thaw: the rest of the boot takes longer than the deadline for it.
    options: ["--health", "echo not well on $(uname -r); exit 7", "--deadline", "120"],
    code: "HEALTH_FAILED",
    back: "kexec",
    says: /status 7[^]*not well on 6\.12/,
    isTriedAlways: true,
  },
];

/** What the new kernel's boot starts, and what takes long. */
const SLOW = `[Unit]
ConditionKernelVersion=>=${NEW}
Before=multi-user.target

[Service]
Type=oneshot
ExecStart=sleep 150

[Install]
WantedBy=multi-user.target
`;

async function numbers(machine: Machine): Promise<number[]> {
  const text = (await machine.get(LINES)).toString();
  return text.trim().split("\n").map(Number);
}

/** Waits until the old kernel runs again, with whatever else in between. */
async function waitForOld(machine: Machine, earlier: number): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await delay(100)) {
    if (machine.boots.slice(earlier).some(({ release }) => release.startsWith(`${OLD}.`))) return;
  }
  assert.fail(`the old kernel did not come back:\n${machine.console().slice(-3000)}`);
}

test("the ways back", { timeout: 30 * 60_000 }, async (t) => {
  await using machine = await Machine.boot({ kernel: OLD, kernels: [NEW] });
  await machine.put("/usr/local/bin/pulse", PULSE, 0o755);
  await machine.put("/etc/systemd/system/slow.service", SLOW);
  await machine.output(["systemctl", "enable", "slow"]);
  const pid = await machine.start(["/usr/local/bin/pulse"], "/var/lib/lab/pulse.log");
  await machine.output(["sh", "-c", `until [ -s ${LINES} ]; do sleep 0.2; done`]);
  let last: string | undefined;
  for (const trouble of TROUBLES) {
    await t.test(trouble.name, { skip: !trouble.isTriedAlways && unlessThorough }, async () => {
      // They share one machine: where one has left it in an unknown state, the next would only wait.
      assert.equal(last, undefined, `${last} did not come to its end`);
      last = trouble.name;
      const before = (await numbers(machine)).length;
      const earlier = machine.boots.length;
      const argv = ["kmonte", "swap", "--yes", "--to", NEW, "--pid", String(pid), ...trouble.options];
      const answer = machine.run(argv).then(
        ({ stderr }) => assert.fail(`not swapped: ${stderr.toString()}`),
        () => new Promise<never>(() => {}),
      );
      await Promise.race([waitForOld(machine, earlier), answer]);
      const report = parseResult<SwapReport>("report", await machine.output(["kmonte", "report", "--json"]));
      const text = formatReport(report);
      t.diagnostic(text);
      assert.equal(report.state, "done", text);
      assert.equal(report.arrived, report.from, text);
      const [first] = report.attempts ?? [];
      assert.equal(first?.kernel, report.to);
      assert.equal(first?.failure?.code, trouble.code, text);
      assert.equal(first?.back, trouble.back);
      assert.match(text, trouble.says);
      const known = (await numbers(machine)).length;
      while ((await numbers(machine)).length === known) await delay(200);
      await checkNumbers(await numbers(machine), before, trouble.code === "HEALTH_FAILED");
      assert.equal((await machine.output(["cat", `/proc/${pid}/comm`])).trim(), "pulse");
      assert.equal(await machine.output(["cat", "/var/lib/lab/pulse.log"]), "");
      last = undefined;
    });
  }
});

/** One after the other; once back, to where the freeze was, when the processes had run on the new kernel. */
async function checkNumbers(all: readonly number[], before: number, rewound: boolean): Promise<void> {
  assert.ok(all.length > before, "it goes on");
  const breaks = all.flatMap((number, index) => (number === (all[index - 1] ?? 0) + 1 ? [] : [index]));
  assert.equal(breaks.length, rewound ? 1 : 0, `breaks in the numbers at ${breaks.join(" ")}`);
  for (const at of breaks) assert.ok((all[at] ?? 0) >= before && (all[at] ?? 0) < (all[at - 1] ?? 0), "a jump back");
}
