/** The parts of src/swap that are pure, on texts as real machines have them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { bootSteps, markInLog } from "../../src/swap/boot-times.ts";
import { parseKernelConfig } from "../../src/swap/kernel-config.ts";
import { findKernel, listKernels } from "../../src/swap/kernels.ts";
import { inheritedCommandLine } from "../../src/swap/kexec.ts";
import { hasOtherDisks, mountOf, parseMounts } from "../../src/swap/mounts.ts";
import type { NetworkUse } from "../../src/resources/contract.ts";
import { fileKinds } from "../../src/resources/registry.ts";
import { networkNeeds } from "../../src/resources/socket/quarantine/network-needs.ts";
import { missingOf, networkNeed } from "../../src/resources/socket/quarantine/requirements.ts";
import { leaveQuarantine, waitForNetwork } from "../../src/swap/network.ts";
import { freePidRange } from "../../src/swap/pids.ts";
import { formatReport, reportOf } from "../../src/swap/report.ts";
import { cgroupDirectory } from "../../src/swap/scope.ts";
import { markPending, newSwapDirectory, readRecords, type SwapRecord, writeRecord } from "../../src/swap/store.ts";
import { initramfsCommand } from "../../src/swap/doctor/initramfs-maker.ts";
import { requireInitramfs } from "../../src/swap/doctor/kernel-files.ts";
import { Machine } from "../../src/swap/doctor/machine.ts";
import { withoutBootRemoval } from "../../src/swap/tmp-files.ts";
import { unitText } from "../../src/swap/unit.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-test-"));
after(() => rmSync(directory, { recursive: true }));

describe("kernels", () => {
  const boot = join(directory, "boot");
  const places = { boot, modules: join(directory, "modules"), running: "6.1.0-50-amd64" };
  mkdirSync(boot);
  for (const release of ["6.1.0-9-amd64", "6.1.0-50-amd64", "6.12.117+deb13-amd64"]) {
    for (const name of ["vmlinuz", "config", "initrd.img"]) writeFileSync(join(boot, `${name}-${release}`), "");
  }
  const release = (spec: string) => findKernel(spec, places).release;

  test("are listed newest first, by number and not by letter", () => {
    const releases = listKernels(places).map((kernel) => kernel.release);
    assert.deepEqual(releases, ["6.12.117+deb13-amd64", "6.1.0-50-amd64", "6.1.0-9-amd64"]);
    assert.deepEqual(
      listKernels(places).map((kernel) => kernel.running),
      [false, true, false],
    );
  });
  test("are found by the beginning of a version, at the border of a number", () => {
    assert.equal(release("6.1"), "6.1.0-50-amd64");
    assert.equal(release("6.12"), "6.12.117+deb13-amd64");
    assert.equal(release("6.1.0-9"), "6.1.0-9-amd64");
    assert.equal(release("6"), "6.12.117+deb13-amd64");
    assert.equal(release(join(boot, "vmlinuz-6.1.0-9-amd64")), "6.1.0-9-amd64");
  });
  test("that are not there are refused, with those that are", () => {
    assert.throws(() => release("5.10"), { code: "NO_SUCH_KERNEL", message: /6\.12\.117\+deb13-amd64/ });
    assert.throws(() => release("/nowhere/vmlinuz"), { code: "NO_SUCH_KERNEL" });
    writeFileSync(join(directory, "text"), "no kernel");
    assert.throws(() => release(join(directory, "text")), { code: "NOT_A_KERNEL" });
  });
  test("without an initramfs are refused where the running one has one", () => {
    const missing = { ...findKernel("6.12", places), initrd: undefined };
    assert.throws(() => requireInitramfs(missing, listKernels(places)), {
      code: "NO_INITRAMFS",
      remedy: /update-initramfs -c -k 6\.12\.117\+deb13-amd64/,
    });
  });
  test("get their initramfs by the maker that the machine has", () => {
    const machine = new Machine(join(directory, "dracut"));
    mkdirSync(machine.at("/usr/bin"), { recursive: true });
    writeFileSync(machine.at("/usr/bin/dracut"), "");
    const kernel = { ...findKernel("6.1.0-9", places), initrd: undefined };
    const initrd = join(boot, "initrd.img-6.1.0-9-amd64");
    assert.equal(initramfsCommand(kernel, machine), `dracut --force ${initrd} 6.1.0-9-amd64`);
    mkdirSync(machine.at("/usr/sbin"));
    writeFileSync(machine.at("/usr/sbin/update-initramfs"), "");
    assert.equal(initramfsCommand(kernel, machine), "update-initramfs -c -k 6.1.0-9-amd64");
    assert.equal(initramfsCommand({ ...kernel, initrd }, machine), "update-initramfs -u -k 6.1.0-9-amd64");
  });
  test("may all have none", () => {
    const missing = { ...findKernel("6.12", places), initrd: undefined };
    const none = listKernels(places).map((kernel) => ({ ...kernel, initrd: undefined }));
    requireInitramfs(missing, none);
    requireInitramfs(findKernel("6.12", places), listKernels(places));
  });
  test("say by their configuration what they can", () => {
    const options = parseKernelConfig("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=n\n");
    assert.deepEqual(Object.fromEntries(options), { CONFIG_A: "y", CONFIG_B: "m" });
  });
});

test("the command line is the present one without what loaders and swaps added", () => {
  const present = "BOOT_IMAGE=/boot/vmlinuz-6.1 root=/dev/sda1 ro quiet initrd=\\x kmonte.swap=20260101T000000Z\n";
  assert.equal(inheritedCommandLine(present), "root=/dev/sda1 ro quiet");
});

describe("process ids", () => {
  test("the new kernel counts on where nothing is", () => {
    assert.deepEqual(freePidRange([1, 2, 500, 800], 4_194_304), { last: 1800, max: 4_194_304 });
    assert.deepEqual(freePidRange([1, 20_000, 32_700], 32_768), { last: 1300, max: 32_768 });
  });
  test("a small gap is taken in its middle", () => {
    assert.equal(freePidRange([300, 310, 900, 950], 1000).last, 605);
  });
});

describe("mounts", () => {
  const mounts = parseMounts(
    [
      "21 27 0:20 / /sys rw - sysfs sysfs rw",
      "27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
      "30 27 0:24 / /tmp rw - tmpfs tmpfs rw",
      "31 27 254:2 / /srv/my\\040data rw - xfs /dev/vdb rw",
    ].join("\n"),
  );
  test("are found by path", () => {
    assert.equal(mountOf("/srv/my data/x", mounts)?.type, "xfs");
    assert.equal(mountOf("/srv/mydata", mounts)?.type, "ext4");
    assert.equal(mountOf("/tmp", mounts)?.type, "tmpfs");
  });
  test("other disks than the root's are noticed", () => {
    assert.equal(hasOtherDisks(mounts), true);
    assert.equal(hasOtherDisks(mounts.slice(0, 3)), false);
  });
});

test("the unit waits for other disks only when there are any", () => {
  const options = {
    command: "/opt/kmonte/bin/kmonte",
    root: "/var/lib/kmonte/swap",
    keys: "/etc/kmonte",
    state: "/var/lib/kmonte",
  };
  assert.match(unitText({ ...options, otherDisks: true }), /^After=local-fs\.target$/m);
  assert.match(unitText({ ...options, otherDisks: false }), /^Before=.*systemd-udev-trigger\.service/m);
  assert.match(unitText({ ...options, otherDisks: false }), /^ExecStart=\/opt\/kmonte\/bin\/kmonte thaw --boot$/m);
});

const noNft = existsSync("/usr/sbin/nft") && process.getuid?.() === 0 ? false : "needs root and nft";

test(
  "before the network comes up, silence is loaded for what waits to be thawed, and for nothing else",
  {
    skip: noNft,
  },
  () => {
    const root = join(directory, "quiet");
    const flow = {
      local: { address: "192.0.2.1", port: 22 },
      remote: { address: "::ffff:192.0.2.9", port: 4711 },
      options: { SO_REUSEADDR: 1 },
    };
    const use = (kind: string, state: unknown): NetworkUse =>
      fileKinds.find(({ name }) => name === kind)?.network?.(state) ?? assert.fail(kind);
    for (const name of ["kmonte-gone-waits", "kmonte-gone-done"]) {
      const { id, path } = newSwapDirectory(root);
      const server = { protocol: "IPPROTO_TCP", local: { address: "::", port: 443 }, options: {}, quarantine: name };
      const { needs, ...quarantine } = networkNeeds([
        use("tcp-connection", { ...flow, quarantine: name }),
        use("inet-socket", server),
        { need: undefined },
      ]);
      assert.deepEqual(needs, [{ local: { ...flow.local, port: 0 }, remote: flow.remote }]);
      leaveQuarantine(quarantine, path);
      if (name.endsWith("waits")) markPending(root, id);
    }
    const text = unitText({
      command: "/opt/kmonte/bin/kmonte",
      root,
      keys: "/etc/kmonte",
      state: "/var/lib/kmonte",
      otherDisks: false,
    });
    const [, script = "", place = ""] = /^ExecStartPre=-\/bin\/sh -c '(.*)' (\S+)$/m.exec(text) ?? [];
    assert.equal(place, root);
    const unescaped = script.replaceAll("$$", "$").replaceAll("%%", "%");
    const rules = execFileSync("unshare", ["--net", "sh", "-c", `${unescaped}; nft list ruleset`, place], {
      encoding: "utf8",
    });
    assert.match(rules, /table inet kmonte-gone-waits/);
    assert.match(rules, /nfproto ipv4 tcp dport @tcpany4 goto closed/);
    assert.match(rules, /192\.0\.2\.9 \. 4711 \. 192\.0\.2\.1 \. (22|ssh)/);
    assert.doesNotMatch(rules, /kmonte-gone-done/);
  },
);

test("the network is asked for what is missing", async () => {
  const local = { address: "127.0.0.1", port: 0 };
  assert.equal(missingOf({ local, remote: { address: "127.0.0.1", port: 9 } }), undefined);
  assert.equal(missingOf({ local: { address: "192.0.2.1", port: 0 } })?.code, "NO_ADDRESS");
  assert.equal(missingOf({ local, device: Buffer.from("nowhere0").toString("hex") })?.code, "NO_DEVICE");
  assert.equal(networkNeed({ options: {}, local: { address: "0.0.0.0", port: 80 } }), undefined);
  const aborted = AbortSignal.timeout(150);
  await waitForNetwork([{ local: { address: "192.0.2.1", port: 0 } }], aborted);
  assert.ok(aborted.aborted, "it waits until it is told not to");
});

test("/tmp is not emptied, and its aging stays", () => {
  const shipped = "# Clear\nD /tmp 1777 root root -\n#q /var/tmp 1777 root root 30d\nR! /tmp/old\n";
  const kept = "# Clear\nd /tmp 1777 root root -\n#q /var/tmp 1777 root root 30d\n#R! /tmp/old\n";
  assert.equal(withoutBootRemoval(shipped), kept);
});

test("systemd's control group is found in both layouts", () => {
  const text = "1:name=systemd:/old.scope\n0::/system.slice/kmonte-1.scope\n";
  assert.equal(cgroupDirectory(text, true), "/sys/fs/cgroup/system.slice/kmonte-1.scope");
  assert.equal(cgroupDirectory(text, false), "/sys/fs/cgroup/systemd/old.scope");
  assert.equal(cgroupDirectory("2:cpu:/\n", true), undefined);
});

describe("the timeline", () => {
  test("has the boot's stages, in order and never overlapping", () => {
    assert.equal(markInLog("6,1,100,-;Linux\n12,2,2500000,-;kmonte: user space begins\n"), 2500);
    const steps = bootSteps({ kernel: 900, initramfs: 3000, userland: undefined, program: 4500 }, 1000, 5000);
    assert.deepEqual(steps, [
      { step: "kexec", start: 1000, end: 1000 },
      { step: "kernel", start: 1000, end: 3000 },
      { step: "initramfs", start: 3000, end: 4500 },
      { step: "userland", start: 4500, end: 4500 },
      { step: "kmonte starts", start: 4500, end: 5000 },
    ]);
  });
  test("is kept on disk and read back; a broken one is named", () => {
    const root = join(directory, "swap");
    const { id } = newSwapDirectory(root);
    const record: SwapRecord = {
      version: 1,
      id,
      boot: "b",
      state: "done",
      from: "6.1",
      to: "6.12",
      arrived: "6.12",
      directory: "/d",
      processes: [{ pid: 7, command: "sleep" }],
      steps: [
        { step: "load", start: 500, end: 900 },
        { step: "stop", start: 1000, end: 1250 },
      ],
      stopped: 1000,
      running: 4500,
    };
    writeRecord(root, record);
    assert.deepEqual(readRecords(root), [record]);
    const report = reportOf(record);
    assert.equal(report.gapSeconds, 3.5);
    assert.match(formatReport(report), /load +-0\.50 +0\.40 s\n +stop +\+0\.00 +0\.25 s\n +paused for 3\.50 s/);
    const path = join(root, id, "timeline.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"done"', '"elsewhere"'));
    assert.throws(() => readRecords(root), { code: "SWAP_RECORD_BROKEN", message: /state/ });
  });
});
