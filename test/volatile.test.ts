/** What lies where nothing outlives a boot, when the thaw finds something else there, or is told to take more along. */
import assert from "node:assert/strict";
import {
  chownSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { after, beforeEach, test } from "node:test";
import { KmonteError, RefusalList, thaw } from "./kmonte-library.ts";
import { stateOfKind } from "../src/image/kinds.ts";
import { readImage } from "../src/image/read.ts";
import type { Blob } from "../src/resources/thaw-context.ts";
import { carriedFiles } from "../src/resources/volatile/carried-files.ts";
import { CARRIED } from "../src/resources/volatile/collect.ts";
import { Maker } from "../src/resources/volatile/make.ts";
import { planFor } from "../src/resources/volatile/plan.ts";
import { Thawing } from "../src/thaw/context.ts";
import { Program } from "./harness.ts";
import { fails, KMONTE, kmonte, launch } from "./kmonte.ts";

const made: string[] = [];
let place = "";
beforeEach(() => {
  place = mkdtempSync("/dev/shm/kmonte-volatile-");
  made.push(place);
});
after(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});

/** Has a file open there, and a socket bound at a path in its working directory, on disk. */
const HOLDER = `
import os, socket, sys, time
place = sys.argv[1]
os.mkdir(place + "/folder")
f = open(place + "/folder/file", "w+"); f.write("held"); f.flush()
s = socket.socket(socket.AF_UNIX); s.bind("socket"); s.listen(1)
print("READY", flush=True)
time.sleep(1000)
`;

async function startHolder(): Promise<Program> {
  const program = Program.start("/usr/bin/python3", ["-c", HOLDER, place]);
  await program.waitFor(/^READY$/m);
  return program;
}

async function codesOf(failing: Promise<unknown>): Promise<string[]> {
  try {
    await failing;
  } catch (error) {
    assert.ok(error instanceof KmonteError, String(error));
    return error instanceof RefusalList ? error.refusals.map(({ code }) => code) : [error.code];
  }
  return [];
}

test("something else in the place of a file is refused by name, and nothing is made", async () => {
  await using program = await startHolder();
  const directory = await program.freeze();
  rmSync(`${place}/folder`, { recursive: true });
  mkdirSync(`${place}/folder`, { mode: 0o755 });
  writeFileSync(`${place}/folder/file`, "else");
  assert.deepEqual(await codesOf(thaw({ directory })), ["CARRIED_TAKEN"]);
  assert.equal(readFileSync(`${place}/folder/file`, "utf8"), "else");
  // As good as what was there: owner, mode and contents are the same.
  writeFileSync(`${place}/folder/file`, "held");
  await thaw({ directory });
  assert.equal(statSync(`/proc/${program.pid}/fd/3`).ino, statSync(`${place}/folder/file`).ino);
});

test("a folder of another owner or mode is refused by name", async () => {
  await using program = await startHolder();
  const directory = await program.freeze();
  rmSync(`${place}/folder`, { recursive: true });
  chmodSync(place, 0o1777);
  mkdirSync(`${place}/folder`, { mode: 0o700 });
  assert.deepEqual([...new Set(await codesOf(thaw({ directory })))].sort(), ["CARRIED_TAKEN"]);
  rmSync(`${place}/folder`, { recursive: true });
  mkdirSync(`${place}/elsewhere`);
  symlinkSync("elsewhere", `${place}/folder`);
  assert.deepEqual(await codesOf(thaw({ directory })), ["CARRIED_TAKEN"]);
  assert.ok(!existsSync(`${place}/elsewhere/file`), "nothing is made behind a link");
});

test("a folder that only root can have put there gets its owner and mode back", async () => {
  await using program = await startHolder();
  const directory = await program.freeze();
  const { mode } = statSync(`${place}/folder`);
  rmSync(`${place}/folder`, { recursive: true });
  mkdirSync(`${place}/folder`);
  chownSync(`${place}/folder`, 61_001, 61_001);
  chmodSync(`${place}/folder`, 0o700);
  await thaw({ directory });
  const now = statSync(`${place}/folder`);
  assert.deepEqual([now.uid, now.gid, now.mode], [0, 0, mode]);
});

test("what is still there is used as it is, whatever was written to it", async () => {
  await using program = await startHolder();
  const directory = await program.freeze();
  const { ino } = statSync(`${place}/folder/file`);
  writeFileSync(`${place}/folder/file`, "written to meanwhile");
  await thaw({ directory });
  assert.equal(readFileSync(`${place}/folder/file`, "utf8"), "written to meanwhile");
  assert.equal(statSync(`${place}/folder/file`).ino, ino);
});

test("what a boot makes between the look and the making is used as if it had been there", async () => {
  await using program = await startHolder();
  const directory = await program.freeze();
  rmSync(`${place}/folder`, { recursive: true });
  const image = readImage(directory, { unsigned: true });
  const carried = stateOfKind(carriedFiles, image.state.objects[CARRIED]);
  assert.ok(carried);
  const openBlob = (name: string): Blob => image.files.open(name);
  const { steps, problems } = planFor(carried, openBlob);
  assert.deepEqual(problems, []);
  assert.equal(steps.find(({ path }) => path === `${place}/folder`)?.fate, "make");
  // As systemd makes a unit's folders when it starts the unit: root's, with another mode than it had.
  mkdirSync(`${place}/folder`, { mode: 0o700 });
  const { ino } = statSync(`${place}/folder`);
  {
    using context = new Thawing(image);
    new Maker(context, steps).make();
    assert.equal(statSync(`${place}/folder`).ino, ino);
    assert.equal(statSync(`${place}/folder`).mode & 0o777, 0o755);
    assert.equal(readFileSync(`${place}/folder/file`, "utf8"), "held");
  }
  assert.equal(statSync(`${place}/folder`).mode & 0o777, 0o700, "taken back");
  assert.equal(existsSync(`${place}/folder/file`), false);
  // What is not as good stands in the way as before.
  writeFileSync(`${place}/folder/file`, "else");
  using context = new Thawing(image);
  assert.throws(() => new Maker(context, steps).make(), /CARRIED_TAKEN|Something else stands at/);
  assert.equal(readFileSync(`${place}/folder/file`, "utf8"), "else");
});

/** Has a small file open in memory, watches who opens it, and says at SIGUSR1 how many bytes of events have come. */
const WATCHER = `
import ctypes, fcntl, os, signal, struct, sys, termios, time
path = sys.argv[1] + "/small"
f = open(path, "w+"); f.write("small"); f.flush()
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
libc.inotify_add_watch(watch, path.encode(), 0x20 | 0x1 | 0x10)
def tell(*_):
    print("EVENTS", struct.unpack("i", fcntl.ioctl(watch, termios.FIONREAD, b"0000"))[0], flush=True)
signal.signal(signal.SIGUSR1, tell)
print("READY", flush=True)
while True: time.sleep(1000)
`;

test("a check reads no file: nobody who watches it is told of anything", async () => {
  await using program = Program.start("/usr/bin/python3", ["-c", WATCHER, place]);
  await program.waitFor(/^READY$/m);
  const { status, stdout } = await kmonte("check", String(program.pid));
  assert.equal(status, 0, stdout);
  process.kill(program.pid, "SIGUSR1");
  await program.waitFor(/^EVENTS \d+$/m);
  assert.match(program.output, /^EVENTS 0$/m);
});

test("a thaw that fails later takes back what it has made", async () => {
  await using program = await startHolder();
  const directory = await program.freeze();
  rmSync(`${place}/folder`, { recursive: true });
  unlinkSync(`${program.directory}/socket`);
  writeFileSync(`${program.directory}/socket`, "");
  assert.deepEqual(await codesOf(thaw({ directory })), ["SOCKET_NAME_TAKEN"]);
  assert.ok(!existsSync(`${place}/folder`), "the folder has gone again");
  unlinkSync(`${program.directory}/socket`);
  await thaw({ directory });
  assert.equal(readFileSync(`${place}/folder/file`, "utf8"), "held");
});

test("--carry takes whole folders along, and links with what they lead to", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  mkdirSync(`${place}/private/below`, { recursive: true, mode: 0o750 });
  writeFileSync(`${place}/private/below/large`, Buffer.alloc(100_000, "x"), { mode: 0o640 });
  writeFileSync(`${place}/private/small`, "small", { mode: 0o604 });
  writeFileSync(`${place}/x.pid`, "1\n");
  symlinkSync("private", `${place}/name`);
  const directory = `${program.directory}/image`;
  const frozen = await kmonte(
    ...["freeze", String(program.pid), "-o", directory, "--carry", `${place}/name`, "--carry", `${place}/x.pid`],
    ...["--carry", program.directory],
  );
  assert.equal(frozen.status, 0, frozen.stderr);
  assert.match(frozen.stderr, /lies on a disk/);
  rmSync(place, { recursive: true });
  await thaw({ directory });
  assert.equal(readlinkSync(`${place}/name`), "private");
  assert.equal(readFileSync(`${place}/name/below/large`, "utf8"), "x".repeat(100_000));
  assert.equal(readFileSync(`${place}/private/small`, "utf8"), "small");
  assert.equal(readFileSync(`${place}/x.pid`, "utf8"), "1\n");
  assert.equal(lstatSync(`${place}/private/small`).mode & 0o7777, 0o604);
  assert.equal(lstatSync(`${place}/private/below`).mode & 0o7777, 0o750);
  assert.equal(lstatSync(`${place}/private/below/large`).mode & 0o7777, 0o640);
});

test("--carry takes along what lies where the boot makes things, unless it has made it by then", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const folder = `/run/log/kmonte-volatile-${process.pid}`;
  made.push(folder);
  mkdirSync(`${folder}/below`, { recursive: true });
  writeFileSync(`${folder}/gone`, "as it was");
  writeFileSync(`${folder}/below/there`, "as it was");
  const directory = `${program.directory}/image`;
  const paths = [`${folder}/gone`, `${folder}/below`].flatMap((path) => ["--carry", path]);
  const frozen = await kmonte("freeze", String(program.pid), "-o", directory, ...paths);
  assert.equal(frozen.status, 0, frozen.stderr);
  rmSync(`${folder}/gone`);
  writeFileSync(`${folder}/below/there`, "of this boot");
  await thaw({ directory });
  assert.equal(readFileSync(`${folder}/gone`, "utf8"), "as it was");
  assert.equal(readFileSync(`${folder}/below/there`, "utf8"), "of this boot");
});

test("--carry of nothing, and of too much, is refused by name", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const command = (path: string): string[] => [
    ...["freeze", String(program.pid), "-o", `${program.directory}/image`, "--carry", path],
  ];
  await fails("CARRY_MISSING", 3, ...command(`${place}/nothing`));
  for (let i = 0; i < 10_001; i += 1) mkdirSync(`${place}/${i}`);
  await fails("CARRY_TOO_LARGE", 3, ...command(place));
});

test("a large file in memory is in the image once", async () => {
  await using program = Program.start("/usr/bin/python3", [
    "-c",
    `import mmap, sys, time
f = open(sys.argv[1] + "/large", "w+b"); f.truncate(64 << 20)
m = mmap.mmap(f.fileno(), 64 << 20)
m[:] = bytes([7]) * (64 << 20)
print("READY", flush=True)
time.sleep(1000)`,
    place,
  ]);
  await program.waitFor(/^READY$/m);
  const directory = await program.freeze();
  const { files } = JSON.parse(readFileSync(`${directory}/manifest.json`, "utf8")) as { files: { size: number }[] };
  const total = files.reduce((sum, { size }) => sum + size, 0);
  assert.ok(total > 64 * 2 ** 20 && total < 100 * 2 ** 20, String(total));
  rmSync(`${place}/large`);
  await thaw({ directory });
  assert.equal(statSync(`${place}/large`).size, 64 * 2 ** 20);
});

test("mounts follow the machine's again, their root among them", async () => {
  const directory = mkdtempSync("/var/tmp/kmonte-volatile-");
  made.push(directory);
  // A machine of its own for kmonte: what is mounted there reaches nobody else.
  const script = `set -e
    mount --make-rshared /
    unshare -m --propagation slave sleep 1000 & pid=$!
    sleep 0.5
    "$1" freeze $pid -o "$2/image" && "$1" thaw "$2/image"
    mkdir "$2/later" && mount -t tmpfs later "$2/later"
    echo "seen: $(grep -c "$2/later " /proc/$pid/mountinfo || true)"
    kill -9 $pid; umount "$2/later"`;
  const { stdout, stderr } = await launch("unshare", ["-m", "sh", "-c", script, "sh", KMONTE, directory]).done;
  assert.match(stdout, /seen: 1/, stdout + stderr);
});
