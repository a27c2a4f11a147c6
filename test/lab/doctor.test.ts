/**
 * What stands in the way of a change of kernel, seen before anything is stopped: each thing is really made wrong in a
 * machine of namespaces, named by kmonte doctor and refused by kmonte swap, and mended by the remedy that is told. Such
 * a machine is a container, which is in the way itself; what only a kernel of one's own shows is in doctor-guest.test.ts.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { parseResult } from "../json-schemas.ts";
import { countFrom, mainPid, shell, suspendAndReturn } from "./suspending.ts";

const PATIENCE_MS = 15 * 60_000;
const PACKAGES = ["initramfs-tools", "linux-image-cloud-amd64", "cron", "libpam-systemd", "python3"];

interface Told {
  readonly code: string;
  readonly what: string;
  readonly why?: string;
  readonly remedy?: string;
}
interface Diagnosis {
  readonly canSwap: boolean;
  readonly to?: string;
  readonly refusals: readonly Told[];
  readonly warnings: readonly Told[];
  readonly advice: readonly Told[];
}

let machine: NamespaceMachine;
let kernel = "";

async function diagnose(): Promise<Diagnosis> {
  const { code, stdout, stderr } = await machine.run(["kmonte", "doctor", "--json"]);
  assert.equal(code, 3, stderr.toString());
  return parseResult<Diagnosis>("doctor", stdout);
}

const codes = (told: readonly Told[]): string[] => told.map(({ code }) => code);

/** Doctor names it, with reason and remedy, and nothing else is wrong; swap refuses the same, and stops nothing. */
async function standsInTheWay(code: string): Promise<Told> {
  const { refusals, canSwap } = await diagnose();
  assert.equal(canSwap, false);
  assert.deepEqual(codes(refusals), ["IN_CONTAINER", code], JSON.stringify(refusals, undefined, 1));
  const found = refusals[1];
  assert.ok(found?.why && found.remedy, code);
  const pid = await mainPid(machine, "cron");
  const refused = await machine.run(["kmonte", "swap", "--to", kernel, "--yes", "--json"]);
  assert.equal(refused.code, 3, refused.stderr.toString());
  const { error } = parseResult<{ error: { code: string; refusals: Told[] } }>("error", refused.stdout);
  assert.equal(error.code, "CANNOT_SWAP");
  assert.deepEqual(error.refusals, refusals, "swap says what doctor says");
  const person = await machine.run(["kmonte", "swap", "--to", kernel, "--yes"]);
  assert.equal(person.code, 3);
  assert.match(person.stderr.toString(), new RegExp(`\\[${code}\\]\\n +\\S.*\\n +\\S`));
  assert.equal(await mainPid(machine, "cron"), pid, "nothing was stopped");
  return found;
}

async function isMended(): Promise<void> {
  const { refusals } = await diagnose();
  assert.deepEqual(codes(refusals), ["IN_CONTAINER"], JSON.stringify(refusals, undefined, 1));
}

/** A package with a script that is run after it was unpacked. */
async function buildPackage(name: string, script: string): Promise<void> {
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: lab <lab@localhost>\nDescription: ${name}\n`;
  await machine.put(`/root/${name}/DEBIAN/control`, control);
  await machine.put(`/root/${name}/DEBIAN/postinst`, `#!/bin/sh\n${script}\n`, 0o755);
  await shell(machine, `dpkg-deb --build /root/${name} /root/${name}.deb`);
}

describe("kmonte doctor", { timeout: PATIENCE_MS }, () => {
  before(async () => {
    machine = await NamespaceMachine.make({ debian: "12", packages: PACKAGES });
    assert.equal(await machine.boot({ beforeInit: countFrom(5000) }), "running");
    kernel = await shell(machine, "ls /lib/modules");
    await machine.output(["kmonte", "protect", "cron"]);
  });
  after(() => machine?.[Symbol.asyncDispose]());

  test("finds a container with a whole kernel in order, but that it is one", async () => {
    const { refusals, warnings, advice, to } = await diagnose();
    assert.deepEqual(codes(refusals), ["IN_CONTAINER"]);
    assert.deepEqual([...warnings, ...advice], []);
    assert.equal(to, kernel);
    const { code, stdout } = await machine.run(["kmonte", "doctor", "--to", kernel]);
    assert.equal(code, 3);
    assert.match(stdout.toString(), /^In the way:\n {2}- .*\[IN_CONTAINER\]\n[^]*one thing stands in the way\.\n$/);
  });

  test("a kernel that is not there is named, where one may be chosen", async () => {
    const { stdout } = await machine.run(["kmonte", "doctor", "--to", "9.9", "--json"]);
    const { refusals, to } = JSON.parse(stdout.toString()) as Diagnosis;
    assert.deepEqual(codes(refusals), ["IN_CONTAINER"], "a container needs none");
    assert.equal(to, undefined);
  });

  test("a half-configured package", async () => {
    await buildPackage("halfway", "test -e /root/mended");
    assert.notEqual((await machine.run(["dpkg", "-i", "/root/halfway.deb"])).code, 0);
    const { why } = await standsInTheWay("PACKAGES_UNFINISHED");
    assert.match(why ?? "", /halfway \(half-configured\)/);
    await shell(machine, "touch /root/mended; dpkg --configure -a");
    await isMended();
  });

  test("dpkg at work", async () => {
    await buildPackage("slow", "while [ ! -e /root/go ]; do sleep 0.1; done");
    await shell(machine, "dpkg -i /root/slow.deb >/root/said 2>&1 &");
    const atWork = `until [ "$(dpkg-query -W -f '\${db:Status-Status}' slow)" = half-configured ]; do sleep 0.1; done 2>/dev/null`;
    await shell(machine, atWork);
    const { why } = await standsInTheWay("PACKAGES_BUSY");
    assert.match(why ?? "", /dpkg \(process \d+\) holds the lock \/var\/lib\/dpkg\/lock/);
    await shell(machine, "touch /root/go; while pidof dpkg; do sleep 0.1; done");
    await isMended();
  });

  test("a full /boot, and what it leaves of an initramfs", async () => {
    const image = `/boot/initrd.img-${kernel}`;
    // A /boot of its own with room for half of another initramfs.
    await shell(
      machine,
      "cp -a /boot /root/boot; mount -t tmpfs -o size=$(($(du -sk /boot | cut -f1) + 8000))k none /boot",
    );
    await shell(machine, "cp -a /root/boot/. /boot");
    const { warnings } = await diagnose();
    assert.deepEqual(codes(warnings), ["NO_ROOM_IN_BOOT"]);
    assert.match(warnings[0]?.why ?? "", /MiB left/);
    // What a tool that writes in place leaves there.
    assert.notEqual(
      (await machine.run(["sh", "-c", `cat /root/boot/initrd.img* /root/boot/initrd.img* >${image}.x`])).code,
      0,
    );
    await shell(machine, `rm ${image}.x; truncate -s 5M ${image}`);
    const broken = await standsInTheWay("INITRAMFS_BROKEN");
    assert.match(broken.why ?? "", /cannot be unpacked/);
    await shell(machine, `: >${image}`);
    await standsInTheWay("INITRAMFS_BROKEN");
    await shell(machine, `rm ${image}`);
    const none = await standsInTheWay("NO_INITRAMFS");
    const remedy = /update-initramfs -c -k \S+/.exec(none.remedy ?? "")?.[0] ?? "";
    await shell(machine, "mount -o remount,size=200M /boot");
    await machine.output(["sh", "-c", remedy], { timeoutMs: PATIENCE_MS });
    await isMended();
    await shell(machine, "umount /boot; rm -r /root/boot");
  });

  test("a kernel that was cut off", async () => {
    const image = `/boot/vmlinuz-${kernel}`;
    await shell(machine, `cp ${image} /root/whole; truncate -s 9M ${image}`);
    assert.match((await standsInTheWay("KERNEL_BROKEN")).why ?? "", /9437184 bytes, and its header says \d+/);
    await shell(machine, `echo nothing >${image}`);
    await standsInTheWay("KERNEL_BROKEN");
    await shell(machine, `mv /root/whole ${image}`);
    await isMended();
  });

  test("modules that nobody has listed, or that are not there", async () => {
    await shell(machine, `mv /lib/modules/${kernel}/modules.dep /root`);
    const { remedy = "" } = await standsInTheWay("NO_MODULES");
    await shell(machine, /depmod \S+[^.]/.exec(remedy)?.[0] ?? "false");
    await isMended();
    await shell(machine, `mv /lib/modules/${kernel} /root`);
    const { refusals } = await diagnose();
    assert.ok(codes(refusals).includes("NO_MODULES"), JSON.stringify(refusals));
    await shell(machine, `mv /root/${kernel} /lib/modules`);
    await isMended();
  });

  test("a module of DKMS that was built for the running kernel alone", async () => {
    const tree = "/var/lib/dkms/zfs/2.1.11";
    await shell(machine, `mkdir -p ${tree}/source ${tree}/$(uname -r)/x86_64/module`);
    const { warnings } = await diagnose();
    assert.deepEqual(codes(warnings), ["DKMS_NOT_BUILT"]);
    const { what = "" } = warnings[0] ?? {};
    assert.ok(what.includes("zfs") && what.includes(kernel), what);
    await shell(machine, `mkdir -p ${tree}/${kernel}/x86_64/module`);
    assert.deepEqual((await diagnose()).warnings, []);
  });

  test("no room in /run for the copy of the initramfs", async () => {
    await shell(machine, "fallocate -l $(($(stat -f -c '%a * %S' /run) - (3 << 20))) /run/much");
    await standsInTheWay("NO_ROOM_IN_RUN");
    await shell(machine, "rm /run/much");
    await isMended();
  });

  test("another swap on its way", async () => {
    await shell(
      machine,
      "mkdir -p /var/lib/kmonte/swap; flock /var/lib/kmonte/swap sleep 1000 >/dev/null 2>&1 & echo $! >/root/holder; sleep 0.5",
    );
    await standsInTheWay("SWAP_IN_PROGRESS");
    await shell(machine, "pkill -P $(cat /root/holder)");
    await isMended();
  });

  test("libraries that were replaced under protected units: told, and taken along as they were", async () => {
    const library = await shell(machine, "readlink -f /usr/lib/x86_64-linux-gnu/libpam.so.0");
    // As dpkg does: another file, renamed over the old one.
    await shell(machine, `cp -p ${library} ${library}.new && mv ${library}.new ${library}`);
    const told = await diagnose();
    assert.deepEqual(codes(told.refusals), ["IN_CONTAINER"]);
    assert.deepEqual(codes(told.advice), ["LIBRARIES_REPLACED"]);
    const [{ what, why, remedy }] = told.advice as [Told];
    assert.match(what, /cron\.service/);
    assert.ok(why?.includes(library), why);
    const pid = await mainPid(machine, "cron");
    await suspendAndReturn(machine);
    assert.equal(await mainPid(machine, "cron"), pid);
    assert.deepEqual(codes((await diagnose()).advice), ["LIBRARIES_REPLACED"], "the old library came along");
    await shell(machine, /systemctl restart .*[^.]/.exec(remedy ?? "")?.[0] ?? "false");
    assert.deepEqual((await diagnose()).advice, []);
  });
});
