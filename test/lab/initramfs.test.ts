/** The program that a swap puts in front of an initramfs' own, in archives made by the programs that their makers use. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { cpioArchive, readCpio } from "../../src/swap/cpio.ts";
import { InitramfsArchive } from "../../src/swap/initramfs-archive.ts";
import { contentsOf, readInitramfs } from "../../src/swap/initramfs.ts";
import { hookedInitrd, initrdWithHook } from "../../src/swap/initrd.ts";
import type { Kernel } from "../../src/swap/kernels.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-test-"));
after(() => rmSync(directory, { recursive: true }));

const DIRECTORY = 0o040755;
const OWN = '#!/bin/sh\necho "own $*"\n';
const COMPRESSORS: Readonly<Record<string, readonly string[]>> = {
  none: ["cat"],
  gzip: ["gzip", "-c"],
  zstd: ["zstd", "-c"],
  xz: ["xz", "-c", "--check=crc32"],
  lz4: ["lz4", "-c", "-l"],
};

/** A small root with a usr-merged /bin and this /init, which says what it got. */
function tree(name: string, arrange: (root: string) => void = () => {}): string {
  const root = join(directory, name);
  mkdirSync(join(root, "usr/bin"), { recursive: true });
  mkdirSync(join(root, "etc"));
  symlinkSync("usr/bin", join(root, "bin"));
  writeFileSync(join(root, "usr/bin/dash"), "no shell\n".repeat(5000), { mode: 0o755 });
  symlinkSync("dash", join(root, "usr/bin/sh"));
  writeFileSync(join(root, "init"), OWN, { mode: 0o755 });
  arrange(root);
  return root;
}

function archiveOf(root: string): Buffer {
  const input = execFileSync("find", ["."], { cwd: root });
  return execFileSync("cpio", ["--quiet", "-o", "-H", "newc"], { cwd: root, input, maxBuffer: 2 ** 26 });
}

function compressed(archive: Buffer, how: string): Buffer {
  const [command = "", ...args] = COMPRESSORS[how] ?? OTHER_COMPRESSORS[how] ?? [];
  return execFileSync(command, args, { input: archive });
}

/** What begins there, moved to where the kernel sees it: archives count from the beginning of the file. */
function ofTail(bytes: Buffer, start: number): Buffer {
  return Buffer.concat([Buffer.alloc(start % 4), bytes.subarray(start)]);
}

function archiveIn(bytes: Buffer): InitramfsArchive {
  const archive = InitramfsArchive.read(bytes);
  assert.ok(archive instanceof InitramfsArchive, JSON.stringify(archive));
  return archive;
}

const MICROCODE = cpioArchive([
  { path: "kernel", mode: DIRECTORY, data: Buffer.alloc(0) },
  { path: "kernel/x86", mode: 0o100644, data: Buffer.alloc(777, 1) },
]);

describe("a cpio archive", () => {
  test("that is written is one that cpio(1) reads", () => {
    const input = cpioArchive([
      { path: "a", mode: DIRECTORY, data: Buffer.alloc(0) },
      { path: "a/odd", mode: 0o100644, data: Buffer.from("hello") },
    ]);
    const list = execFileSync("cpio", ["-itv", "--quiet"], { input, encoding: "utf8" });
    assert.match(list, /^drwxr-xr-x .* a\n-rw-r--r-- .* 5 .* a\/odd\n$/);
  });
  test("of cpio(1) is read, and what is cut off is not", () => {
    const archive = archiveOf(tree("read"));
    const found = readCpio(archive, 0);
    assert.equal(found?.entries.find(({ path }) => path === "init")?.data.toString(), OWN);
    assert.equal(readCpio(archive.subarray(0, 1000), 0), undefined);
    assert.equal(readCpio(Buffer.from("nothing of the kind".repeat(20)), 0), undefined);
  });
});

/** Compressors that the kernel knows, and behind whose archive nothing is added. */
const OTHER_COMPRESSORS: Readonly<Record<string, readonly string[]>> = {
  bzip2: ["bzip2", "-c"],
  lzma: ["xz", "-c", "--format=lzma"],
  lzop: ["lzop", "-c"],
};

describe("what an initramfs holds", () => {
  const damage = (bytes: Buffer): string => {
    const contents = contentsOf(bytes);
    assert.ok(!("names" in contents) && contents.damaged, "names" in contents ? "it is whole" : contents.why);
    return contents.why;
  };
  for (const how of Object.keys({ ...COMPRESSORS, ...OTHER_COMPRESSORS })) {
    const [command = ""] = COMPRESSORS[how] ?? OTHER_COMPRESSORS[how] ?? [];
    const skip = spawnSync("which", [command]).status !== 0 && `${command} is not installed`;
    test(`compressed by ${how}: whole, cut off, and behind microcode`, { skip }, () => {
      const packed = compressed(archiveOf(tree(`whole-${how}`)), how);
      const contents = contentsOf(packed);
      assert.ok("names" in contents, JSON.stringify(contents));
      assert.ok(contents.names.includes("usr/bin/dash"), contents.names.join(" "));
      assert.equal(typeof contents.hookable, how in OTHER_COMPRESSORS ? "string" : "object");
      // cpio(1) fills the last 512 bytes, which nobody misses.
      const ends = how === "none" ? [0.1, 0.6] : [0.1, 0.6, 0.98];
      for (const part of ends) damage(packed.subarray(0, Math.floor(packed.length * part)));
      damage(Buffer.concat([MICROCODE, packed.subarray(0, packed.length / 2)]));
    });
  }
  test("nothing, zeros, and what is no archive are no initramfs", () => {
    assert.match(damage(Buffer.alloc(0)), /no archive/);
    assert.match(damage(Buffer.alloc(100_000)), /no archive/);
    assert.match(damage(Buffer.alloc(100_000, "x")), /no way that Linux knows/);
  });
  for (const how of ["none", "gzip", "zstd"]) {
    test(`something that is not read behind ${how} does not make it broken, and nothing is added there`, () => {
      const contents = contentsOf(
        Buffer.concat([compressed(archiveOf(tree(`followed-${how}`)), how), Buffer.alloc(64, "\xaa", "latin1")]),
      );
      assert.ok("names" in contents && contents.names.includes("init"), JSON.stringify(contents));
      assert.equal(typeof contents.hookable, "string");
    });
  }
  test("a file is read again when it has changed", () => {
    const path = join(directory, "changing");
    const holds = (): boolean => {
      const { contents } = readInitramfs(path);
      return "names" in contents && contents.names.includes("etc/more");
    };
    writeFileSync(path, archiveOf(tree("less")));
    assert.deepEqual([holds(), holds()], [false, false]);
    writeFileSync(path, archiveOf(tree("more", (root) => writeFileSync(join(root, "etc/more"), ""))));
    assert.equal(holds(), true);
  });
});

describe("the hook in an initramfs", () => {
  for (const how of Object.keys(COMPRESSORS)) {
    test(`compressed by ${how}, behind microcode`, () => {
      const packed = compressed(archiveOf(tree(how)), how);
      const own = Buffer.concat([MICROCODE, Buffer.alloc((4 - (MICROCODE.length % 4)) % 4), packed]);
      const module = { path: "kmonte/softdog.ko", mode: 0o100644, data: Buffer.alloc(100_000, 7) };
      const { bytes = Buffer.alloc(0), unhooked } = initrdWithHook(own, "echo 5 >/x\n", [module]);
      assert.equal(unhooked, undefined);
      assert.ok(bytes.subarray(0, own.length).equals(own), "what was there stays in front");
      const behind = archiveIn(ofTail(bytes, own.length));
      const text = behind.entry("init")?.data.toString() ?? "";
      assert.match(text, /^#!\/bin\/sh\n[^]*echo 5 >\/x\n[^]*exec \/kmonte\/init /);
      assert.equal(behind.entry("init")?.mode, 0o100755);
      assert.equal(behind.entry("kmonte/init")?.data.toString(), OWN);
      assert.equal(behind.entry("kmonte/softdog.ko")?.data.length, 100_000);
      const read = archiveIn(how === "xz" ? own : bytes);
      assert.equal(read.entry("kernel/x86")?.data.length, 777);
      assert.equal(read.resolve("/bin/sh")?.path.replace("./", ""), "usr/bin/dash");
    });
  }
  test("stays away where it could not run, and says why", () => {
    const whyNot = (name: string, arrange: (root: string) => void) => {
      const bytes = archiveOf(tree(name, arrange));
      const hooked = initrdWithHook(bytes, "");
      assert.equal(hooked.bytes, bytes, "it is what it was");
      return hooked.unhooked;
    };
    assert.match(whyNot("shell", (root) => unlinkSync(join(root, "usr/bin/dash"))) ?? "", /no \/bin\/sh/);
    assert.match(whyNot("mode", (root) => chmodSync(join(root, "usr/bin/dash"), 0o644)) ?? "", /no \/bin\/sh/);
    assert.match(whyNot("init", (root) => unlinkSync(join(root, "init"))) ?? "", /no \/init/);
    assert.match(whyNot("names", (root) => linkSync(join(root, "init"), join(root, "other"))) ?? "", /no \/init/);
    const strange = compressed(archiveOf(tree("strange")), "gzip").fill(0xee, 0, 2);
    assert.match(initrdWithHook(strange, "").unhooked ?? "", /compressed in a way/);
  });
  test("stays away where rdinit= names another program, and where there is no initramfs", () => {
    const initrd = join(directory, "initrd");
    writeFileSync(initrd, archiveOf(tree("rdinit")));
    const kernel = { initrd } as Kernel;
    assert.equal(hookedInitrd(kernel, "root=/dev/sda1", "").unhooked, undefined);
    assert.match(hookedInitrd(kernel, "root=/dev/sda1 rdinit=/x quiet", "").unhooked ?? "", /run \/x/);
    assert.match(hookedInitrd({ initrd: undefined } as Kernel, "", "").unhooked ?? "", /none/);
  });
});

const SHELLS = ["/bin/dash", "/bin/bash", "/bin/busybox"].filter((path) => existsSync(path));
const noRoot = process.getuid?.() === 0 ? false : "needs root";

describe("the hook's program", { skip: noRoot }, () => {
  for (const shell of SHELLS) {
    for (const isLink of [false, true]) {
      test(`runs in ${shell}, then becomes the init that was there${isLink ? ", a link" : ""}`, () => {
        const root = tree(`run${shell.replaceAll("/", "-")}${isLink ? "-link" : ""}`, (at) => {
          rmSync(join(at, "usr/bin/sh"));
          install(at, shell, "sh");
          for (const tool of ["mount", "umount"])
            install(at, execFileSync("which", [tool], { encoding: "utf8" }).trim());
          if (!isLink) return;
          writeFileSync(join(at, "etc/program"), OWN, { mode: 0o755 });
          rmSync(join(at, "init"));
          symlinkSync("etc/program", join(at, "init"));
        });
        const { bytes, unhooked } = initrdWithHook(
          archiveOf(root),
          'echo "first of $(cat /proc/sys/kernel/ostype)" >/said\nfalse\n',
        );
        assert.equal(unhooked, undefined);
        // Unpacked as the kernel does it: one archive after the other over the same root.
        const end = readCpio(bytes ?? Buffer.alloc(0), 0)?.end ?? 0;
        for (const input of [bytes?.subarray(0, end), bytes?.subarray(end)])
          execFileSync("cpio", ["--quiet", "-idu"], { cwd: root, input: input?.subarray(input.indexOf("0707")) });
        install(root, "/bin/cat");
        const { stdout, stderr } = spawnSync(
          "unshare",
          ["--mount", "/usr/sbin/chroot", root, "/init", "one", "two words"],
          {
            encoding: "utf8",
            env: {},
          },
        );
        assert.equal(stdout, "own one two words\n", stderr);
        assert.equal(readFileSync(join(root, "said"), "utf8"), "first of Linux\n");
      });
    }
  }
});

/** A program with the libraries that it needs. */
function install(root: string, program: string, name = program.replace(/^.*\//, "")): void {
  copyFileSync(program, join(root, "usr/bin", name));
  const libraries = spawnSync("ldd", [program], { encoding: "utf8" }).stdout.matchAll(/(\/\S+) \(0x/g);
  for (const [, path = ""] of libraries) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}
