/**
 * What a kernel of its own shows: an emulated machine whose kexec is disabled, that is locked down, whose disks are
 * LUKS, LVM and a degraded RAID, whose modules and kernel have been replaced. Nothing of it is pretended.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Answer } from "../../lab/channel.ts";
import { Machine } from "../../lab/machine.ts";
import { parseResult } from "../json-schemas.ts";
import { unlessThorough } from "../thorough.ts";

const PATIENCE_MS = 45 * 60_000;
const STORAGE = ["cryptsetup-bin", "lvm2", "mdadm"];

/** A file system on LVM on LUKS on half of a mirror, mounted where kmonte keeps its state. */
const STACK = `set -e
truncate -s 128M /root/half
half=$(losetup --show -f /root/half)
modprobe -a loop dm_mod dm_crypt raid1
mdadm --create /dev/md7 --run --level=1 --raid-devices=2 --metadata=1.2 $half missing
printf secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file - /dev/md7
printf secret | cryptsetup open --key-file - /dev/md7 vault
pvcreate -q /dev/mapper/vault
vgcreate -q pool /dev/mapper/vault
lvcreate -q -n state -l 100%FREE pool
mkfs.ext4 -q /dev/pool/state
mkdir -p /var/lib/kmonte
mount /dev/pool/state /var/lib/kmonte`;

/** The entry of the certificates in a PE header emptied, as sbattach(1) --remove does it. */
const STRIP = `import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
entry = struct.unpack_from("<I", data, 0x3c)[0] + 24 + 112 + 32
where, size = struct.unpack_from("<II", data, entry)
assert size > 0, "it is signed"
struct.pack_into("<II", data, entry, 0, 0)
open(sys.argv[2], "wb").write(data[:where])`;

interface Told {
  readonly code: string;
  readonly why?: string;
}
interface Diagnosis {
  readonly canSwap: boolean;
  readonly to: string;
  readonly refusals: readonly Told[];
  readonly warnings: readonly Told[];
  readonly advice: readonly Told[];
}

const codes = (told: readonly Told[] = []): string[] => told.map(({ code }) => code);

test("what only a kernel of its own shows", { timeout: PATIENCE_MS, skip: unlessThorough }, async (t: TestContext) => {
  await using machine = await Machine.boot({
    kernel: "6.1",
    kernels: ["6.12"],
    system: { debian: "12", kind: "slim", more: STORAGE },
  });
  const shell = async (script: string): Promise<string> => (await machine.output(["sh", "-c", script])).trim();
  const parsed = <T>(name: string, { code, stdout, stderr }: Answer, expected: number): T => {
    assert.equal(code, expected, stdout.toString() + stderr.toString());
    return parseResult<T>(name, stdout);
  };
  const diagnose = async (status: number, ...args: string[]): Promise<Diagnosis> =>
    parsed("doctor", await machine.run(["kmonte", "doctor", "--json", ...args]), status);
  const pid = Number(await shell("setsid sleep 100000 >/dev/null 2>&1 </dev/null & echo $!"));
  /** Refused with this code alone, and the process lives on as it was. */
  const swapRefuses = async (code: string, ...args: string[]): Promise<void> => {
    const answer = await machine.run(["kmonte", "swap", "--yes", "--json", "--pid", String(pid), ...args]);
    const { error } = parsed<{ error: Told }>("error", answer, 3);
    assert.equal(error.code, code);
    assert.match(await shell(`cat /proc/${pid}/status`), /^State:\s+S/m);
  };
  const release = await shell("uname -r");

  await t.test("a machine in order", async () => {
    const found = await diagnose(0);
    assert.ok(found.canSwap && found.to.startsWith("6.12."));
    assert.deepEqual([...found.refusals, ...found.warnings, ...found.advice], []);
    assert.match(
      await machine.output(["kmonte", "doctor"]),
      /^This machine can change its kernel from Linux 6\.1\..* to 6\.12\..*\n$/,
    );
  });

  await t.test("disks that ask, that are degraded, that no boot mounts", async () => {
    await shell(STACK);
    const found = await diagnose(3);
    assert.deepEqual(codes(found.refusals), ["DISK_NOT_MOUNTED_AT_BOOT"]);
    assert.deepEqual(codes(found.warnings), ["DISK_ASKS_FOR_PASSPHRASE", "RAID_DEGRADED", "THAW_WAITS_FOR_DISKS"]);
    await swapRefuses("DISK_NOT_MOUNTED_AT_BOOT", "--to", "6.12");
    await shell("echo '/dev/pool/state /var/lib/kmonte ext4 defaults 0 2' >>/etc/fstab");
    // What does not stand in the way is told in the plan.
    const plan = await machine.run(["kmonte", "swap", "--plan", "--to", "6.12", "--pid", String(pid)]);
    assert.equal(plan.code, 0, plan.stderr.toString());
    assert.match(
      plan.stdout.toString(),
      /^To know before:\n {2}- .*passphrase of vault.*\[DISK_ASKS_FOR_PASSPHRASE\]$/m,
    );
    await shell("umount /var/lib/kmonte; sed -i '/kmonte/d' /etc/fstab");
  });

  await t.test("a kernel that somebody else has loaded", async () => {
    await shell("kexec -s -l /boot/vmlinuz-6.12* --initrd=$(ls /boot/initrd.img-6.12*) --reuse-cmdline");
    assert.deepEqual(codes((await diagnose(0)).warnings), ["KERNEL_LOADED"]);
    await shell("kexec -s -u");
  });

  await t.test("the newest kernel runs, and a module of it has been replaced", async () => {
    await shell(`modprobe dummy; mkdir /root/newer; mv /boot/*-6.12* /root/newer
      cd /lib/modules; xz -dc 6.12*/kernel/drivers/net/dummy.ko.xz >/root/other.ko
      cp ${release}/kernel/drivers/net/dummy.ko /root/dummy.ko; cp /root/other.ko ${release}/kernel/drivers/net/dummy.ko`);
    const found = await diagnose(0);
    assert.equal(found.to, release);
    assert.deepEqual(codes(found.advice), ["NEWEST_KERNEL_RUNS", "MODULE_CAN_BE_RELOADED"]);
    await swapRefuses("NO_NEWER_KERNEL");
    const said = await machine.run(["kmonte", "swap", "--plan"]);
    assert.match(said.stderr.toString(), /modprobe -r dummy && modprobe dummy[^]*NO_NEWER_KERNEL[^]*--to 6\.1/);
    const forced = await machine.run(["kmonte", "swap", "--plan", "--json", "--to", release, "--pid", String(pid)]);
    assert.deepEqual(codes(parsed<{ advice: Told[] }>("swap --plan", forced, 0).advice), codes(found.advice));
    await shell(`cp /root/dummy.ko /lib/modules/${release}/kernel/drivers/net/dummy.ko`);
    assert.deepEqual(codes((await diagnose(0)).advice), ["NEWEST_KERNEL_RUNS"]);
  });

  await t.test("an update under the running kernel's name is another kernel", async () => {
    await shell(`cp /boot/vmlinuz-${release} /root/vmlinuz; cp /root/newer/vmlinuz-6.12* /boot/vmlinuz-${release}`);
    assert.deepEqual((await diagnose(0)).advice, []);
    const plan = await machine.run(["kmonte", "swap", "--plan", "--pid", String(pid)]);
    assert.equal(plan.code, 0, plan.stderr.toString());
    assert.ok(plan.stdout.toString().includes(`change to Linux ${release}`));
    await shell(`cp /root/vmlinuz /boot/vmlinuz-${release}; mv /root/newer/* /boot`);
  });

  await t.test("a kernel that is locked down wants a signature", async () => {
    await machine.put("/root/strip.py", STRIP);
    await shell(`mkdir /root/unsigned; cp $(ls /boot/config-6.12*) $(ls /boot/initrd.img-6.12*) /root/unsigned
      python3 /root/strip.py $(ls /boot/vmlinuz-6.12*) /root/unsigned/$(basename $(ls /boot/vmlinuz-6.12*))`);
    const unsigned = await shell("ls /root/unsigned/vmlinuz-*");
    const load = (image: string) => machine.run(["kexec", "-s", "-l", image, "--reuse-cmdline"]);
    assert.equal((await load(unsigned)).code, 0, "nobody asks for it yet");
    await shell("kexec -s -u; echo integrity >/sys/kernel/security/lockdown");
    assert.deepEqual(codes((await diagnose(3, "--to", unsigned)).refusals), ["KERNEL_UNSIGNED"]);
    await swapRefuses("KERNEL_UNSIGNED", "--to", unsigned);
    const really = await load(unsigned);
    assert.notEqual(really.code, 0, "and the kernel thinks so too");
    const signed = await diagnose(0);
    assert.deepEqual(codes(signed.warnings), ["SIGNATURE_UNPROVEN"]);
    // Debian's own key is the firmware's, which this machine does not have: the try says so, before anything is stopped.
    await swapRefuses("KEXEC_LOAD_FAILED", "--to", "6.12");
  });

  await t.test("kexec that was disabled", async () => {
    await machine.put("/etc/sysctl.d/99-hard.conf", "kernel.kexec_load_disabled = 1\n");
    await shell("sysctl -q -p /etc/sysctl.d/99-hard.conf");
    const { refusals } = await diagnose(3);
    assert.deepEqual(codes(refusals), ["KEXEC_DISABLED"]);
    assert.match(refusals[0]?.why ?? "", /99-hard\.conf/);
    await swapRefuses("KEXEC_DISABLED", "--to", "6.12");
  });
});
