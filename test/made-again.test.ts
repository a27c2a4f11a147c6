/**
 * Root makes again what lay in memory in an ordinary user's folders, who has had time to put something else there, and
 * may do so meanwhile: nothing is made elsewhere, nothing gets another owner, and nobody reads more than before.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { KmonteError, thaw } from "./kmonte-library.ts";
import { type Program, until } from "./harness.ts";
import { asId, codesOf, held, idOf, makeFolders, startIn, USER } from "./user-program.ts";

const OTHER = USER + 1;
const place = mkdtempSync("/dev/shm/kmonte-made-again-");
/** The user's own folder, with a folder of root's in it, and one that only root may enter. */
const home = join(place, "home");
const inHome = join(home, "root's");
const roots = join(place, "roots");

beforeEach(() => {
  chmodSync(place, 0o755);
  makeFolders(home, roots);
  mkdirSync(inHome, { mode: 0o700 });
});
after(() => rmSync(place, { recursive: true, force: true }));

/** A file of root's in the user's folder, which the program has open. */
const log = join(home, "log");
const OPEN_LOG = `fd=os.open(${JSON.stringify(log)}, os.O_RDWR|os.O_CREAT, 0o600)\nos.write(fd, b"root's")\nkeep(fd)`;

const start = (code: string, asRoot = ""): Promise<Program> => startIn(home, code, asRoot);

async function refused(directory: string, ...codes: string[]): Promise<void> {
  await assert.rejects(thaw({ directory }), (error) => {
    assert.deepEqual(codesOf(error), codes, String(error));
    return true;
  });
}

test("what the user could not open is the very same when it was made in the thaw", async () => {
  await using program = await start("os.mkdir('d')\nf=open('d/mine','w')", OPEN_LOG);
  const directory = await program.freeze();
  for (const name of [home, roots]) rmSync(name, { recursive: true });
  await thaw({ directory });
  assert.ok(held(program.pid).includes(idOf(log)));
  assert.ok(held(program.pid).includes(idOf(join(home, "d/mine"))));
  const owners = [log, home, join(home, "d")].map((path) => [statSync(path).uid, statSync(path).mode & 0o777]);
  assert.deepEqual(owners, [
    [0, 0o600],
    [USER, 0o755],
    [USER, 0o755],
  ]);
  assert.equal(readFileSync(log, "utf8"), "root's");
});

test("another file that is as good in all but who may open it is not opened for the user", async () => {
  await using program = await start("", OPEN_LOG);
  const directory = await program.freeze();
  unlinkSync(log);
  writeFileSync(log, "root's", { mode: 0o600 });
  await refused(directory, "FILE_REPLACED");
});

test("nothing is made in what has come into the place of a folder", { timeout: 120_000 }, async () => {
  const gone = join(home, "d");
  const cases: readonly (() => void)[] = [
    () => symlinkSync(roots, gone),
    () => symlinkSync(inHome, gone),
    // Whoever may rename things in a folder may put root's own there.
    () => renameSync(inHome, gone),
    () => mkdirSync(gone, { mode: 0o700 }),
    () => writeFileSync(gone, ""),
  ];
  for (const swap of cases) {
    await using program = await start("os.mkdir('d')\nf=open('d/mine','w+')\nos.mkfifo('d/fifo')");
    const directory = await program.freeze();
    rmSync(gone, { recursive: true });
    swap();
    await refused(directory, "CARRIED_TAKEN");
    for (const path of [roots, inHome, gone]) assert.ok(!existsSync(join(path, "mine")), `nothing was made in ${path}`);
    rmSync(gone, { recursive: true, force: true });
    if (!existsSync(inHome)) mkdirSync(inHome, { mode: 0o700 });
  }
});

/** acl(5), as the kernel takes it: who owns the file, another user, its group, the most that they may, and all others. */
const GIVES_TO_OTHER = `import os,struct
entries=[(1,7,0xffffffff),(2,7,${OTHER}),(4,5,0xffffffff),(0x10,7,0xffffffff),(0x20,5,0xffffffff)]
acl=struct.pack("<I",2)+b"".join(struct.pack("<HHI",*entry) for entry in entries)
os.setxattr(${JSON.stringify(home)},"system.posix_acl_default",acl)`;

test("rights that the user's folder gives on are given to nothing that root makes", async () => {
  await using program = await start("", OPEN_LOG.replace("0o600", "0o640"));
  const directory = await program.freeze();
  unlinkSync(log);
  assert.equal(spawnSync("/usr/bin/python3", ["-c", GIVES_TO_OTHER]).status, 0);
  await thaw({ directory });
  assert.equal(statSync(log).mode & 0o7777, 0o640);
  assert.notEqual(spawnSync("setpriv", [...asId(OTHER), "cat", log]).status, 0);
});

test("files with several names come back as one, and not with another's", async () => {
  await using program = await start("f=open('one','w');f.write('kept');f.flush();os.link('one','two');g=open('two')");
  const directory = await program.freeze();
  unlinkSync(join(home, "two"));
  // Of the same owner, mode and size.
  renameSync(join(home, "one"), join(home, "three"));
  writeFileSync(join(home, "one"), "else", { mode: 0o644 });
  chownSync(join(home, "one"), USER, USER);
  await refused(directory, "CARRIED_TAKEN");
  unlinkSync(join(home, "one"));
  linkSync(join(home, "three"), join(home, "one"));
  await thaw({ directory });
  assert.equal(idOf(join(home, "two")), idOf(join(home, "three")));
});

test("what is swapped to and fro meanwhile leads nowhere", { timeout: 240_000 }, async () => {
  const code = "os.mkdir('d')\nf=open('d/mine','w')\nos.mkfifo('d/fifo')\np=os.open('d/fifo',os.O_RDWR)";
  await using program = await start(code, OPEN_LOG);
  const directory = await program.freeze();
  const own = statSync(inHome).ino;
  // Not empty, so that it can neither be removed nor be replaced.
  writeFileSync(join(inHome, "kept"), "");
  const swapper = [
    "import os,sys",
    "home,roots=sys.argv[1:]",
    "os.chdir(home)",
    "def gently(action,*names):",
    " try: action(*names)",
    " except OSError: pass",
    "while True:",
    " for name in [n for n in os.listdir('.') if n.startswith('.kmonte')]+['d']:",
    '  for target in (roots,"root\'s"):',
    "   gently(os.rename,name,'moved')",
    "   gently(os.symlink,target,name);gently(os.unlink,name)",
    '   gently(os.rename,"root\'s",name);gently(os.rename,name,"root\'s")',
    "   gently(os.rename,'moved',name)",
  ].join("\n");
  const argv = [...asId(USER), "/usr/bin/python3", "-c", swapper, home, roots];
  const child = spawn("setpriv", argv, { stdio: "ignore" });
  try {
    for (let attempt = 0; attempt < 8; attempt += 1) {
      child.kill("SIGSTOP");
      for (const name of readdirSync(home)) {
        const path = join(home, name);
        if (lstatSync(path).ino !== own) rmSync(path, { recursive: true });
        else if (path !== inHome) renameSync(path, inHome);
      }
      child.kill("SIGCONT");
      try {
        await thaw({ directory, again: true });
        process.kill(program.pid, "SIGKILL");
        await until(() => !existsSync(`/proc/${program.pid}`), "its end");
      } catch (error) {
        assert.ok(error instanceof KmonteError, String(error));
      }
      assert.deepEqual(readdirSync(roots), []);
    }
  } finally {
    child.kill("SIGKILL");
  }
  await until(() => child.exitCode !== null || child.signalCode !== null, "the end of the swapper");
  // Root's own folder, whatever it is called now, is still root's, with nothing else in it.
  const found = readdirSync(home).find((name) => statSync(join(home, name)).ino === own);
  assert.ok(found !== undefined, readdirSync(home).join());
  const { uid, mode } = statSync(join(home, found));
  assert.deepEqual([uid, mode & 0o7777, readdirSync(join(home, found))], [0, 0o700, ["kept"]]);
  assert.deepEqual([statSync(roots).uid, statSync(roots).mode & 0o7777], [0, 0o700]);
});
