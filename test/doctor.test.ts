/**
 * What kmonte doctor makes of what a kernel says in /proc and /sys, for what no test can make real everywhere: the forms
 * are those of the kernel's documentation, which the sources name. See test/lab/doctor*.test.ts for machines.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { advise } from "../src/swap/doctor/advice.ts";
import { lookAtDisks } from "../src/swap/doctor/disks.ts";
import type { Finding } from "../src/swap/doctor/finding.ts";
import { parseModinfo } from "../src/swap/doctor/firmware.ts";
import { lookAtWatchdog } from "../src/swap/doctor/hardware-watchdog.ts";
import { lookAtKexec } from "../src/swap/doctor/kexec-allowed.ts";
import { Machine } from "../src/swap/doctor/machine.ts";
import { lookAtModules } from "../src/swap/doctor/modules.ts";
import { holderOf } from "../src/swap/doctor/packages.ts";
import { lookAtRights } from "../src/swap/doctor/rights.ts";
import { findKernel } from "../src/swap/kernels.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-doctor-"));
after(() => rmSync(directory, { recursive: true, force: true }));

let trees = 0;

/** A machine with these files: path → text, or `-> path` for a link. */
function machineOf(files: Readonly<Record<string, string>>, running = "6.1.0-50-amd64"): Machine {
  trees += 1;
  const root = join(directory, String(trees));
  for (const [path, text] of Object.entries(files)) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    if (text.startsWith("-> ")) symlinkSync(text.slice(3), target);
    else writeFileSync(target, text);
  }
  mkdirSync(root, { recursive: true });
  return new Machine(root, { running, isContainer: false, swapRoot: "/var/lib/kmonte/swap" });
}

const codes = (findings: readonly Finding[]): string[] => findings.map(({ code }) => code);
const only = (findings: readonly Finding[]): Finding => {
  assert.equal(findings.length, 1, JSON.stringify(findings));
  return findings[0] as Finding;
};

test("who holds a lock of dpkg is found among all locks, by device and inode", () => {
  const locks = `1: POSIX  ADVISORY  READ 77 fe:01:1234 0 EOF
2: FLOCK  ADVISORY  WRITE 88 fe:01:1234 0 EOF
3: POSIX  ADVISORY  WRITE 99 fe:02:1234 0 EOF
4: POSIX  ADVISORY  WRITE 4711 fe:01:1234 0 EOF
`;
  assert.equal(holderOf(locks, { dev: 0xfe01, ino: 1234 }), 4711);
  assert.equal(holderOf(locks, { dev: 0xfe01, ino: 12 }), undefined);
  assert.equal(holderOf(locks, { dev: 0x2a, ino: 1234 }), 99, "btrfs");
});

test("the firmware that modules ask for is told apart by their names", () => {
  // modinfo(8) of a module in a file, of one that is built in, and of one that asks for none.
  const text = `filename:       /lib/modules/6.12.9/kernel/drivers/net/wireless/intel/iwlwifi/iwlwifi.ko.xz
license:        GPL
firmware:       iwlwifi-so-a0-gf-a0-89.ucode
firmware:       iwlwifi-100-5.ucode
depends:        cfg80211
name:           iwlwifi
parm:           swcrypto:using crypto in software (default 0 [hardware]) (int)
name:           e100
filename:       (builtin)
firmware:       e100/d101m_ucode.bin
filename:       /lib/modules/6.12.9/kernel/drivers/net/virtio_net.ko.xz
name:           virtio_net
`;
  assert.deepEqual(Object.fromEntries(parseModinfo(text)), {
    iwlwifi: ["iwlwifi-so-a0-gf-a0-89.ucode", "iwlwifi-100-5.ucode"],
    e100: ["e100/d101m_ucode.bin"],
    virtio_net: [],
  });
});

describe("rights", () => {
  test("root without CAP_SYS_BOOT is told of it", () => {
    const status = (caps: string) => machineOf({ "proc/self/status": `Name:\tnode\nCapEff:\t${caps}\n` });
    assert.deepEqual(codes(lookAtRights(status("000001ffffffffff"))), []);
    assert.deepEqual(codes(lookAtRights(status("000001ffffbfffff"))), ["NO_CAP_SYS_BOOT"]);
  });
  test("in a container that is all that is said", () => {
    assert.deepEqual(codes(lookAtRights(new Machine("/", { isContainer: true }))), ["IN_CONTAINER"]);
  });
});

describe("kexec", () => {
  const WITH = { "boot/config-6.1.0-50-amd64": "CONFIG_KEXEC=y\nCONFIG_KEXEC_FILE=y\n" };
  const sysctl = (name: string, value: string) => ({ ...WITH, [`proc/sys/kernel/${name}`]: `${value}\n` });

  test("is allowed", () => {
    assert.deepEqual(lookAtKexec(machineOf(sysctl("kexec_load_disabled", "0"))), []);
    assert.deepEqual(lookAtKexec(machineOf(sysctl("kexec_load_limit_reboot", "-1"))), []);
    assert.deepEqual(lookAtKexec(machineOf(sysctl("kexec_load_limit_reboot", "3"))), []);
  });
  test("was not built, by the configuration or by what is missing", () => {
    const without = { "boot/config-6.1.0-50-amd64": "CONFIG_KEXEC=y\n# CONFIG_KEXEC_FILE is not set\n" };
    assert.deepEqual(codes(lookAtKexec(machineOf(without))), ["KEXEC_NOT_BUILT"]);
    assert.deepEqual(codes(lookAtKexec(machineOf({}))), ["KEXEC_NOT_BUILT"]);
    assert.deepEqual(lookAtKexec(machineOf({ "proc/sys/kernel/kexec_load_disabled": "0\n" })), []);
  });
  test("is disabled, and the file that does so is named", () => {
    const { code, why } = only(
      lookAtKexec(
        machineOf({
          ...sysctl("kexec_load_disabled", "1"),
          "etc/sysctl.d/10-other.conf": "# kernel.kexec_load_disabled = 1\n",
          "etc/sysctl.d/90-hard.conf": "kernel.kptr_restrict = 2\nkernel.kexec_load_disabled=1\n",
        }),
      ),
    );
    assert.equal(code, "KEXEC_DISABLED");
    assert.match(why ?? "", /as \/etc\/sysctl\.d\/90-hard\.conf has it\.$/);
  });
  test("is limited to fewer calls than a swap makes", () => {
    assert.equal(only(lookAtKexec(machineOf(sysctl("kexec_load_limit_reboot", "2")))).code, "KEXEC_LIMIT");
  });
  test("has a kernel already", () => {
    assert.equal(only(lookAtKexec(machineOf({ ...WITH, "sys/kernel/kexec_loaded": "1\n" }))).code, "KERNEL_LOADED");
  });
});

describe("a watchdog", () => {
  const watchdog = (state: string, timeout: number, identity = "iTCO_wdt", nowayout = "0") => {
    const folder = "sys/class/watchdog/watchdog0";
    const files = { state, timeout: String(timeout), identity, nowayout };
    return machineOf(
      Object.fromEntries(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, `${text}\n`])),
    );
  };

  test("that ends the machine before the next kernel feeds it is told", () => {
    const { code, why } = only(lookAtWatchdog(watchdog("active", 30, "iTCO_wdt", "1")));
    assert.equal(code, "WATCHDOG_TOO_SHORT");
    assert.match(why ?? "", /watchdog0 \(iTCO_wdt\).*after 30 s.*\(nowayout\)/);
  });
  test("that sleeps, has time, or ends with its kernel is not", () => {
    assert.deepEqual(lookAtWatchdog(watchdog("inactive", 30)), []);
    assert.deepEqual(lookAtWatchdog(watchdog("active", 120)), []);
    assert.deepEqual(lookAtWatchdog(watchdog("active", 10, "Software Watchdog")), []);
    assert.deepEqual(lookAtWatchdog(machineOf({})), []);
  });
});

/** As /sys has a root file system on ext4 on LVM on LUKS on a mirror of two partitions. */
const DEVICES = {
  "sys/dev/block/253:1": "-> ../../devices/virtual/block/dm-1",
  "sys/class/block/dm-0": "-> ../../devices/virtual/block/dm-0",
  "sys/class/block/md0": "-> ../../devices/virtual/block/md0",
  "sys/class/block/sda2": "-> ../../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2",
  "sys/devices/virtual/block/dm-1/dm/uuid": "LVM-bzPXkUd1Vfqtr7R6oRQ1ibiQyVFHt3Xh\n",
  "sys/devices/virtual/block/dm-1/dm/name": "vg-root\n",
  "sys/devices/virtual/block/dm-1/slaves/dm-0/dev": "253:0\n",
  "sys/devices/virtual/block/dm-0/dm/uuid": "CRYPT-LUKS2-2f9f0b3c0ff64ee0a2f0d2f1a9c7f2c1-md0_crypt\n",
  "sys/devices/virtual/block/dm-0/dm/name": "md0_crypt\n",
  "sys/devices/virtual/block/dm-0/slaves/md0/dev": "9:0\n",
  "sys/devices/virtual/block/md0/md/level": "raid1\n",
  "sys/devices/virtual/block/md0/md/degraded": "0\n",
  "sys/devices/virtual/block/md0/slaves/sda2/dev": "8:2\n",
  "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2/partition": "2\n",
};
const ROOT = "22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw\n";
const KEYLESS = "md0_crypt UUID=2f9f0b3c-0ff6-4ee0-a2f0-d2f1a9c7f2c1 none luks,discard\n";

describe("disks", () => {
  const look = (files: Readonly<Record<string, string>>, mounts = ROOT) =>
    lookAtDisks(machineOf({ ...DEVICES, "proc/self/mountinfo": mounts, "etc/crypttab": KEYLESS, ...files }));

  test("on LUKS without a key ask for a passphrase", () => {
    const { code, what } = only(look({}));
    assert.equal(code, "DISK_ASKS_FOR_PASSPHRASE");
    assert.match(what, /md0_crypt, which \/ lies on/);
    assert.match(
      only(look({ "etc/crypttab": "other /dev/sdb /key\n" })).why ?? "",
      /^\/etc\/crypttab has no line for it/,
    );
  });
  test("on LUKS with a key, or something that finds one, do not", () => {
    const line = (key: string, options: string) => ({ "etc/crypttab": `md0_crypt UUID=2f9f ${key} ${options}\n` });
    assert.deepEqual(look(line("/etc/keys/md0.key", "luks")), []);
    assert.deepEqual(look(line("none", "luks,keyscript=decrypt_gnupg")), []);
    assert.deepEqual(look(line("-", "tpm2-device=auto")), []);
    assert.deepEqual(look({ "usr/share/initramfs-tools/hooks/clevis": "" }), []);
  });
  test("of a degraded array are told", () => {
    const key = { "etc/crypttab": "md0_crypt /dev/md0 /k\n" };
    const { code, why } = only(look({ ...key, "sys/devices/virtual/block/md0/md/degraded": "1\n" }));
    assert.equal(code, "RAID_DEGRADED");
    assert.match(why ?? "", /^One of its devices is missing \(raid1\)/);
  });

  const PLAIN = "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n";
  test("of their own for /var: the thaw waits for them, if a boot mounts them", () => {
    const mounts = `${PLAIN}23 22 8:3 / /var rw - xfs /dev/sda3 rw\n`;
    const fstab = (options: string) => ({ "etc/fstab": `# /var\nUUID=1234 /var xfs ${options} 0 2\n` });
    assert.deepEqual(codes(look(fstab("defaults"), mounts)), ["THAW_WAITS_FOR_DISKS"]);
    assert.deepEqual(codes(look(fstab("defaults,noauto"), mounts)), [
      "DISK_NOT_MOUNTED_AT_BOOT",
      "THAW_WAITS_FOR_DISKS",
    ]);
    assert.match(look({}, mounts)[0]?.why ?? "", /^No line of \/etc\/fstab/);
    assert.deepEqual(codes(look({ "etc/systemd/system/var.mount": "" }, mounts)), ["THAW_WAITS_FOR_DISKS"]);
  });
  test("on the network are told where the initramfs mounts them, and refused where the thaw comes before", () => {
    assert.deepEqual(codes(look({}, "22 1 0:30 / / rw - nfs4 server:/root rw\n")), ["ROOT_ON_NETWORK"]);
    const mounts = `${PLAIN}23 22 0:31 / /var rw - nfs4 server:/var rw\n`;
    assert.deepEqual(codes(look({}, mounts)), ["STATE_ON_NETWORK"]);
    const session = "devices/platform/host2/session1/target2:0:0/2:0:0:0/block/sdb";
    const iscsi = { "sys/dev/block/8:16": `-> ../../${session}`, [`sys/${session}/size`]: "1\n" };
    const onIscsi = look(iscsi, "22 1 8:16 / / rw - ext4 /dev/sdb rw\n");
    assert.match(only(onIscsi).why ?? "", /by iscsi/);
  });
});

describe("modules", () => {
  const TREE = {
    "boot/vmlinuz-6.12": "",
    "boot/config-6.12": "CONFIG_MODULES=y\n",
    "lib/modules/6.12/modules.dep": "kernel/net.ko.xz:\n",
    "lib/modules/6.12/kernel/net.ko.xz": "",
    "lib/modules/6.12/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
    "proc/self/mountinfo": "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n",
  };
  const loaded = (name: string, more: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(
      Object.entries({ initstate: "live\n", refcnt: "0\n", ...more }).map(([file, text]) => [
        `sys/module/${name}/${file}`,
        text,
      ]),
    );
  const look = (files: Readonly<Record<string, string>>) => {
    const machine = machineOf({ ...TREE, ...files });
    return lookAtModules(machine, findKernel("6.12", { boot: machine.at("/boot") }));
  };
  const DRIVES = { "drivers/pci:it/0000:00:03.0/uevent": "" };

  test("that drive something and are not there are told; others are not", () => {
    assert.deepEqual(look({ ...loaded("net", DRIVES), ...loaded("ext4"), ...loaded("crc16") }), []);
    const { code, what } = only(look({ ...loaded("special", DRIVES), ...loaded("nvidia", { taint: "POE\n" }) }));
    assert.equal(code, "MODULES_MISSING");
    assert.match(what, /nvidia, special\.$/);
  });
  test("of a file system that is mounted stand in the way", () => {
    const mounts = {
      "proc/self/mountinfo": `${TREE["proc/self/mountinfo"]}30 22 0:40 / /data rw - zfs tank/data rw\n`,
    };
    const { code, kind, what } = only(look({ ...mounts, ...loaded("zfs", { taint: "PO\n" }) }));
    assert.deepEqual([code, kind], ["FILE_SYSTEM_MISSING", "refused"]);
    assert.match(what, /\/data/);
  });
  test("that another file has replaced since the boot can be loaded anew, if nothing holds them", () => {
    const note = "\u0004\0\0\0\u0014\0\0\0\u0003\0\0\0GNU\0aaaaaaaaaaaaaaaaaaaa";
    const advice = (file: string, refcnt: string, built = Date.now()) => {
      const machine = machineOf(
        {
          "boot/vmlinuz-6.12": "",
          "lib/modules/6.12/modules.dep": "updates/net.ko:\n",
          "lib/modules/6.12/updates/net.ko": file,
          "proc/stat": `cpu 0\nbtime ${Math.floor(built / 1000) - 60}\n`,
          ...loaded("net", { refcnt, "notes/.note.gnu.build-id": note }),
        },
        "6.12",
      );
      return advise(machine).map(({ code }) => code);
    };
    const other = note.replaceAll("a", "b");
    assert.deepEqual(advice(`ELF${other}`, "0\n"), ["NEWEST_KERNEL_RUNS", "MODULE_CAN_BE_RELOADED"]);
    assert.deepEqual(advice(`ELF${other}`, "2\n"), ["NEWEST_KERNEL_RUNS", "MODULE_IS_HELD"]);
    assert.deepEqual(advice(`ELF${note}`, "0\n"), ["NEWEST_KERNEL_RUNS"], "the same");
    assert.deepEqual(
      advice(`ELF${other}`, "0\n", Date.now() + 3_600_000),
      ["NEWEST_KERNEL_RUNS"],
      "older than the boot",
    );
  });
  test("a live patch ends with the kernel", () => {
    const machine = (enabled: string) => machineOf({ "sys/kernel/livepatch/fix/enabled": `${enabled}\n` });
    assert.deepEqual(
      advise(machine("1")).map(({ code }) => code),
      ["LIVE_PATCH_LOADED"],
    );
    assert.deepEqual(advise(machine("0")), []);
  });
});
