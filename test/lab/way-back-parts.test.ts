/** What is decided on the way back, and what the new kernel gets to be watched by. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { clearGrubEntry, findEntry, setGrubEntry } from "../../src/swap/grub.ts";
import { askHealth } from "../../src/swap/health.ts";
import { formatReport, reportOf } from "../../src/swap/report.ts";
import type { Attempt, SwapRecord } from "../../src/swap/store.ts";
import { afterFailure, changeAttempt, type Here, nextStep, withAttempt } from "../../src/swap/trial.ts";
import { trialCommandLine } from "../../src/swap/trial-settings.ts";
import { chooseDriver, dependencies } from "../../src/swap/watchdog.ts";
import { backUnitText, healthUnitText, unitText } from "../../src/swap/unit.ts";

function record(...attempts: Attempt[]): SwapRecord {
  return {
    version: 1,
    id: "s",
    boot: "b0",
    state: "pending",
    from: "6.1",
    to: "6.12",
    directory: "/d",
    processes: [{ pid: 7, command: "sleep" }],
    steps: [],
    stopped: 1000,
    attempts,
  };
}

const ANNOUNCED: Attempt = { kernel: "6.12", at: 1 };
const trial: Here = { kernel: "6.12", boot: "b1", prepared: true };
const old: Here = { kernel: "6.1", boot: "b2", prepared: false };

describe("a swap that waits", () => {
  test("is tried once on the new kernel, in the boot that was made for it", () => {
    assert.equal(nextStep(record(ANNOUNCED), trial), "try");
    const tried = withAttempt(record(ANNOUNCED), trial, 2);
    assert.deepEqual(tried.attempts, [{ kernel: "6.12", boot: "b1", at: 2 }]);
    assert.equal(afterFailure(tried, trial, false), "go back");
  });
  test("is not tried there again when the firmware starts that kernel", () => {
    assert.equal(nextStep(record(ANNOUNCED), { ...trial, prepared: false }), "go back");
    assert.equal(nextStep(record({ ...ANNOUNCED, boot: "b1" }), { ...trial, boot: "b3" }), "go back");
  });
  test("is tried on the old kernel, which writes down that the new one never arrived", () => {
    assert.equal(nextStep(record(ANNOUNCED), old), "try");
    const [first, second] = withAttempt(record(ANNOUNCED), old, 2).attempts ?? [];
    assert.equal(first?.failure?.code, "KERNEL_NOT_ARRIVED");
    assert.deepEqual(second, { kernel: "6.1", boot: "b2", at: 2 });
    const ended = withAttempt(record({ ...ANNOUNCED, boot: "b1" }), old, 2).attempts?.[0];
    assert.equal(ended?.failure?.code, "KERNEL_ENDED");
  });
  test("starts the old kernel once more when its ids are taken, with room made for them", () => {
    const tried = withAttempt(record(ANNOUNCED), old, 2);
    assert.equal(afterFailure(tried, old, true), "go back");
    assert.equal(afterFailure(tried, { ...old, prepared: true }, true), "give up");
    assert.equal(afterFailure(tried, old, false), "give up");
  });
  test("does not go round for ever", () => {
    const tries = [1, 2, 3].map((at) => ({ kernel: "6.1", boot: `x${at}`, at }));
    assert.equal(nextStep(record(...tries), old), "give up");
    const many = Array.from({ length: 8 }, (_, at) => ({ kernel: "6.12", boot: `x${at}`, at }));
    assert.equal(nextStep(record(...many), trial), "give up");
    assert.equal(afterFailure(record(...many), trial, false), "give up");
  });
  test("says in the report what was tried", () => {
    const failure = { code: "CPU_FEATURE", what: "This processor cannot.", why: "It lacks avx." };
    const back = changeAttempt(withAttempt(record(ANNOUNCED), trial, 2), trial, { failure, back: "kexec" });
    const again = withAttempt(back, { ...old, prepared: true }, 3);
    const text = formatReport(reportOf({ ...again, state: "done", arrived: "6.1", running: 4000 }));
    assert.match(text, /but came up with 6\.1/);
    assert.match(text, /tried on 6\.12: This processor cannot\.\n +It lacks avx\.\n +went back by kexec\n +paused for/);
  });
});

test("the health command's word, its output, and its silence", async () => {
  assert.equal(await askHealth({ command: "true", seconds: 5 }), undefined);
  const no = await askHealth({ command: "echo out; echo why >&2; exit 3", seconds: 5 });
  assert.equal(no?.code, "HEALTH_FAILED");
  assert.match(no?.why ?? "", /status 3[^]*why/);
  const silent = await askHealth({ command: "sleep 60 & wait", seconds: 0.2 });
  assert.match(silent?.why ?? "", /no answer within 0\.2 s/);
});

test("a trial's panics end in a restart, and the user's words come last", () => {
  const dracut = "rd.shell=0 rd.emergency=reboot";
  assert.equal(trialCommandLine("root=/dev/sda1", "root=/x"), `root=/dev/sda1 panic=10 oops=panic ${dracut} root=/x`);
  assert.equal(trialCommandLine("root=/dev/sda1 panic=-1"), `root=/dev/sda1 panic=-1 oops=panic ${dracut}`);
  const once = trialCommandLine("root=/dev/sda1");
  assert.equal(trialCommandLine(once), once, "a swap after a swap adds nothing");
});

describe("the watchdog", () => {
  const aliases = [
    "# Aliases extracted from modules themselves.",
    "alias pci:v00008086d000025ABsv*sd*bc*sc*i* i6300esb",
    "alias pci:v00008086d00001237sv*sd*bc*sc*i* other",
    "",
  ].join("\n");
  const devices = [
    "pci:v00008086d00001237sv00001AF4sd00001100bc06sc00i00",
    "pci:v00008086d000025ABsv00000000sd00000000bc08sc80i00",
  ];
  test("is the hardware's where the kernel has its driver, else the kernel's own", () => {
    const modules = new Set(["i6300esb", "softdog"]);
    assert.equal(chooseDriver(aliases, devices, modules), "i6300esb");
    assert.equal(chooseDriver(aliases, devices.slice(0, 1), modules), "softdog");
    assert.equal(chooseDriver(aliases, devices, new Set(["softdog"])), "softdog");
    assert.equal(chooseDriver(aliases, devices, new Set()), undefined);
  });
  test("comes with the modules that its driver needs", () => {
    const list = "kernel/a/i6300esb.ko.xz: kernel/a/watchdog.ko.xz\nkernel/a/watchdog.ko.xz:\nkernel/b/ie6xx-wdt.ko:\n";
    assert.deepEqual(dependencies(list, "i6300esb"), ["kernel/a/i6300esb.ko.xz", "kernel/a/watchdog.ko.xz"]);
    assert.deepEqual(dependencies(list, "ie6xx_wdt"), ["kernel/b/ie6xx-wdt.ko"]);
    assert.equal(dependencies(list, "softdog"), undefined);
  });
});

test("the units lead from one to the next", () => {
  const options = {
    command: "/opt/kmonte/bin/kmonte",
    root: "/var/lib/kmonte/swap",
    keys: "/etc/kmonte",
    state: "/var/lib/kmonte",
    otherDisks: false,
  };
  assert.match(unitText(options), /^OnFailure=kmonte-back\.service$/m);
  assert.match(healthUnitText(options), /^OnFailure=kmonte-back\.service$/m);
  assert.match(healthUnitText(options), /^ExecStart=\/opt\/kmonte\/bin\/kmonte back --unless-healthy$/m);
  assert.match(backUnitText(options), /^FailureAction=reboot-force$/m);
  // Where the firmware started the kernel nobody goes round in circles.
  assert.match(backUnitText(options), /^ConditionKernelCommandLine=kmonte\.swap$/m);
});

describe("GRUB", () => {
  const config = `
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "\${next_entry}" ] ; then
   set default="\${next_entry}"
fi
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1b' {
	linux	/boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=1b ro  quiet
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1b' {
	menuentry 'Debian GNU/Linux, with Linux 6.12.117+deb13-amd64' --class os $menuentry_id_option 'gnulinux-6.12.117+deb13-amd64-advanced-1b' {
		if [ x$feature_platform_search_hint = xy ]; then
		  search --no-floppy --fs-uuid 1b
		fi
		linux	/boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=1b ro  quiet
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-50-amd64 (recovery mode)' $menuentry_id_option 'gnulinux-6.1.0-50-amd64-recovery-1b' {
		linux	/boot/vmlinuz-6.1.0-50-amd64 root=UUID=1b ro single
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-50-amd64' $menuentry_id_option 'gnulinux-6.1.0-50-amd64-advanced-1b' {
		linux	/boot/vmlinuz-6.1.0-50-amd64 root=UUID=1b ro  quiet
	}
}
`;
  const entry = "gnulinux-advanced-1b>gnulinux-6.1.0-50-amd64-advanced-1b";
  test("has an entry for the old kernel, by its path through the menus", () => {
    assert.equal(findEntry(config, "6.1.0-50-amd64"), entry);
    assert.equal(findEntry(config, "6.12.117+deb13-amd64"), "gnulinux-simple-1b");
    assert.equal(findEntry(config, "5.10.0-1-amd64"), undefined);
  });
  test("is told for one boot, in a block of its own size, and what else stands there stays", () => {
    const directory = mkdtempSync(join(tmpdir(), "kmonte-grub-"));
    try {
      assert.equal(setGrubEntry("6.1.0-50-amd64", directory), false, "no GRUB here");
      const block = "# GRUB Environment Block\nsaved_entry=x\n".padEnd(1024, "#");
      writeFileSync(join(directory, "grub.cfg"), config);
      writeFileSync(join(directory, "grubenv"), block);
      assert.equal(setGrubEntry("6.1.0-50-amd64", directory), true);
      const set = readFileSync(join(directory, "grubenv"), "latin1");
      assert.equal(set.length, 1024);
      assert.equal(set.split("#").join(""), ` GRUB Environment Block\nsaved_entry=x\nnext_entry=${entry}\n`);
      clearGrubEntry(directory);
      assert.equal(readFileSync(join(directory, "grubenv"), "latin1"), block);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
