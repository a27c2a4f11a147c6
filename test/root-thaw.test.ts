/**
 * Root thaws the processes of an ordinary user, who has had time to put something else in the place of their files: a
 * process gets the very same file, or what its own user may open. With a real unprivileged user.
 */
import { OWN_VIEW } from "../src/sys/mount-view.ts";
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { KmonteError, thaw } from "./kmonte-library.ts";
import { reopen, type Opener } from "../src/resources/file/reopen.ts";
import { type Program, until } from "./harness.ts";
import { codesOf, held, idOf, makeFolders, startIn, USER } from "./user-program.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-root-thaw-"));
/** The user's own folder, and one that only root may enter. */
const home = join(folder, "home");
const roots = join(folder, "roots");
const secret = join(roots, "secret");

before(() => chmodSync(folder, 0o755));
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  makeFolders(home, roots);
  writeFileSync(secret, "root's\n", { mode: 0o600 });
});

/** A program of the user's in its folder; `asRoot` is run before, and what it opens is inherited. */
const start = (code: string, asRoot = "", uid = USER): Promise<Program> => startIn(home, code, asRoot, uid);

/** Freezes, lets the user do something, and thaws: it must be refused by one of these names, with nothing made. */
async function refusedAfter(program: Program, swap: () => void, ...codes: string[]): Promise<void> {
  const directory = await program.freeze();
  swap();
  const before0 = readdirSync(roots);
  await assert.rejects(thaw({ directory }), (error) => {
    assert.ok(
      codesOf(error).some((code) => codes.includes(code)),
      String(error),
    );
    return true;
  });
  await until(() => !existsSync(`/proc/${program.pid}`), "the end of what was made");
  assert.deepEqual(readdirSync(roots), before0, "nothing was made in root's folder");
}

const touch = "open('mine','w').write('mine')\n";
const replaceByLink = (name: string, target: string): void => {
  rmSync(join(home, name), { recursive: true });
  symlinkSync(target, join(home, name));
};

describe("what a user has put in the place of its own is not opened for it", () => {
  const cases: readonly (readonly [what: string, code: string, swap: () => void])[] = [
    ["a file, by a link", `${touch}f=open('mine','r+')`, () => replaceByLink("mine", secret)],
    [
      "a file, by a link to a sysctl",
      `${touch}f=open('mine','r+')`,
      () => replaceByLink("mine", "/proc/sys/kernel/core_pattern"),
    ],
    [
      "a file that is open with O_PATH, by a link",
      `${touch}f=os.open('mine',os.O_PATH)`,
      () => replaceByLink("mine", secret),
    ],
    [
      "a file that is open with O_NOFOLLOW, by a hard link",
      `${touch}f=os.open('mine',os.O_RDONLY|os.O_NOFOLLOW)`,
      () => (unlinkSync(join(home, "mine")), linkSync(secret, join(home, "mine"))),
    ],
    [
      "a file, by a hard link",
      `${touch}f=open('mine')`,
      () => (unlinkSync(join(home, "mine")), linkSync(secret, join(home, "mine"))),
    ],
    [
      "the folder of a file, by a link",
      "os.mkdir('d')\nopen('d/secret','w').write('mine')\nf=open('d/secret')",
      () => replaceByLink("d", roots),
    ],
    ["a folder, by a link", "os.mkdir('d')\nf=os.open('d',os.O_RDONLY)", () => replaceByLink("d", roots)],
    [
      "a folder that is open with O_PATH, by a link",
      "os.mkdir('d')\nf=os.open('d',os.O_PATH)",
      () => replaceByLink("d", roots),
    ],
    [
      "a folder, by root's own",
      "os.mkdir('d')\nf=os.open('d',os.O_RDONLY)",
      () => {
        rmdirSync(join(home, "d"));
        mkdirSync(join(home, "d"), { mode: 0o700 });
      },
    ],
    ["the working directory, by a link", "os.mkdir('d')\nos.chdir('d')", () => replaceByLink("d", roots)],
    [
      "a FIFO, by a link",
      "os.mkfifo('fifo')\nf=os.open('fifo',os.O_RDWR)",
      () => {
        spawnOrThrow("mkfifo", "-m", "600", join(roots, "fifo"));
        replaceByLink("fifo", join(roots, "fifo"));
      },
    ],
    [
      "a FIFO, by a hard link",
      "os.mkfifo('fifo')\nf=os.open('fifo',os.O_RDONLY|os.O_NONBLOCK)",
      () => {
        spawnOrThrow("mkfifo", "-m", "600", join(roots, "fifo"));
        unlinkSync(join(home, "fifo"));
        linkSync(join(roots, "fifo"), join(home, "fifo"));
      },
    ],
    [
      "a file, by a FIFO of its own, for which nobody waits",
      `${touch}f=open('mine')`,
      () => {
        unlinkSync(join(home, "mine"));
        spawnOrThrow("mkfifo", "-m", "666", join(home, "mine"));
      },
    ],
    [
      "a watched file, by a link",
      `${touch}import ctypes\nc=ctypes.CDLL(None)\ni=c.inotify_init1(0)\nassert c.inotify_add_watch(i,b'mine',2)==1`,
      () => replaceByLink("mine", secret),
    ],
    [
      "the folder of an unlinked file, by a link",
      "os.mkdir('d')\nf=open('d/gone','w+')\nf.write('x')\nf.flush()\nos.unlink('d/gone')",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a temporary file, by a link",
      "os.mkdir('d')\nf=os.open('d',os.O_TMPFILE|os.O_RDWR)",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a folder that is gone, by a link",
      "os.makedirs('d/gone')\nf=os.open('d/gone',os.O_RDONLY)\nos.rmdir('d/gone')",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a FIFO that is gone, by a link",
      "os.mkdir('d')\nos.mkfifo('d/gone')\nf=os.open('d/gone',os.O_RDWR)\nos.unlink('d/gone')",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a FIFO that is missing, by a link",
      "os.mkdir('d')\nos.mkfifo('d/fifo')\nf=os.open('d/fifo',os.O_RDWR)",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a link that is gone, by a link",
      "os.mkdir('d')\nos.symlink('x','d/l')\nf=os.open('d/l',os.O_PATH|os.O_NOFOLLOW)\nos.unlink('d/l')",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a socket's name, by a link",
      "os.mkdir('d')\ns=socket.socket(socket.AF_UNIX)\ns.bind('d/s')\ns.listen()",
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a socket's name, by a link, with an absolute name",
      `os.mkdir('d')\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(${JSON.stringify(home)}+'/d/s')`,
      () => replaceByLink("d", roots),
    ],
    [
      "the folder of a socket's name that is gone, by a link",
      "os.mkdir('d')\ns=socket.socket(socket.AF_UNIX)\ns.bind('d/s')\ns.listen()\nos.unlink('d/s')",
      () => replaceByLink("d", roots),
    ],
  ];
  for (const [what, code, swap] of cases)
    test(what, { timeout: 60_000 }, async () => {
      await using program = await start(code);
      await refusedAfter(program, swap, "FILE_REPLACED", "FILE_CHANGED", "SOCKET_MISPLACED", "CARRIED_TAKEN");
    });

  test("nor is it mounted in a namespace of the set", { timeout: 60_000 }, async () => {
    const code = [
      "os.mkdir('d');os.mkdir('e');import ctypes;c=ctypes.CDLL(None)",
      "assert c.unshare(0x20000)==0 and c.mount(b'none',b'/',None,0x44000,None)==0",
      "assert c.mount(b'd',b'e',None,0x1000,None)==0",
    ].join("\n");
    await using program = await start(code, "", 0);
    await refusedAfter(program, () => replaceByLink("d", roots), "FILE_REPLACED");
  });

  test("nor a message queue of the same name", { timeout: 60_000 }, async () => {
    const name = `/kmonte-${process.pid}`;
    const queue = (flags: string): string =>
      `import ctypes,os;c=ctypes.CDLL("librt.so.1");q=c.mq_open(b"${name}",${flags},0o600,None);assert q>=0`;
    const unlinked = `import ctypes;ctypes.CDLL("librt.so.1").mq_unlink(b"${name}")`;
    try {
      await using program = await start(queue("os.O_RDWR|os.O_CREAT"));
      const swap = (): void => {
        spawnOrThrow("/usr/bin/python3", "-c", unlinked);
        spawnOrThrow("/usr/bin/python3", "-c", queue("os.O_RDWR|os.O_CREAT|os.O_EXCL"));
      };
      await refusedAfter(program, swap, "FILE_REPLACED");
    } finally {
      spawnOrThrow("/usr/bin/python3", "-c", unlinked);
    }
  });

  test("nor for root's own process in a user's folder", async () => {
    await using program = await start(`${touch}f=open('mine','r+')`, "", 0);
    await refusedAfter(program, () => replaceByLink("mine", secret), "FILE_REPLACED");
  });

  test("nor while it is swapped to and fro", { timeout: 120_000 }, async () => {
    await using program = await start(`${touch}os.mkdir('d')\nf=open('mine','r+')\nd=os.open('d',os.O_RDONLY)`);
    const directory = await program.freeze();
    const code = [
      "import os,sys",
      "home,roots,secret=sys.argv[1:]",
      "os.chdir(home)",
      "while True:",
      " for name,target in (('mine',secret),('d',roots)):",
      "  os.rename(name,'own-'+name);os.symlink(target,name);os.unlink(name);os.rename('own-'+name,name)",
    ].join("\n");
    const swapper = spawn("/usr/bin/python3", ["-c", code, home, roots, secret], { stdio: "ignore" });
    try {
      for (let attempt = 0; attempt < 12; attempt += 1) {
        try {
          await thaw({ directory, again: true });
        } catch (error) {
          assert.ok(error instanceof KmonteError, String(error));
          continue;
        }
        const all = held(program.pid);
        for (const path of [secret, roots]) assert.ok(!all.includes(idOf(path)), path);
        process.kill(program.pid, "SIGKILL");
        await until(() => !existsSync(`/proc/${program.pid}`), "its end");
      }
    } finally {
      swapper.kill("SIGKILL");
    }
  });
});

describe("what is its own comes back", () => {
  test("a file that root has opened for it, and that is the very same", async () => {
    const log = join(roots, "log");
    const opened = `keep(os.open(${JSON.stringify(log)}, os.O_WRONLY|os.O_CREAT|os.O_APPEND, 0o600))\nkeep(os.open(${JSON.stringify(roots)}, os.O_RDONLY))`;
    await using program = await start("", opened);
    await program.roundTrip();
    for (const path of [log, roots]) assert.ok(held(program.pid).includes(idOf(path)), path);
  });

  test("the very same, moved away and back, through a link of its own folder's name no more", async () => {
    await using program = await start("os.mkdir('d')\nopen('d/mine','w').write('mine')\nf=open('d/mine','r+')");
    const directory = await program.freeze();
    renameSync(join(home, "d"), join(home, "e"));
    symlinkSync("e", join(home, "d"));
    await assert.rejects(thaw({ directory }), (error) => codesOf(error).includes("FILE_REPLACED"));
    unlinkSync(join(home, "d"));
    renameSync(join(home, "e"), join(home, "d"));
    await thaw({ directory });
    assert.ok(held(program.pid).includes(idOf(join(home, "d/mine"))));
  });

  test("another file that its user may open, and a person is told", async () => {
    await using program = await start(`${touch}f=open('mine','r+')`);
    const directory = await program.freeze();
    unlinkSync(join(home, "mine"));
    writeFileSync(join(home, "mine"), "another");
    await assert.rejects(thaw({ directory }), (error) => codesOf(error).includes("FILE_REPLACED"));
    chownSync(join(home, "mine"), USER, USER);
    const { notes } = await thaw({ directory });
    assert.match(notes.join("\n"), /mine is another file than at the freeze/);
    assert.ok(held(program.pid).includes(idOf(join(home, "mine"))));
  });

  test("devices, FIFOs, sockets and what has no name, of a user and of root", async () => {
    const code = [
      "n=open('/dev/null','r+b',0);z=os.open('/dev/zero',os.O_RDONLY|os.O_NOFOLLOW)",
      "os.mkfifo('fifo');p=os.open('fifo',os.O_RDWR|os.O_NOFOLLOW);os.write(p,b'kept')",
      "s=socket.socket(socket.AF_UNIX);s.bind('own.sock');s.listen()",
      "os.mkdir('d');u=open('d/gone','w+');u.write('kept');u.flush();os.unlink('d/gone')",
      "os.mkdir('e');e=os.open('e',os.O_RDONLY);os.rmdir('e')",
    ].join("\n");
    for (const uid of [USER, 0]) {
      await using program = await start(code, "", uid);
      await program.roundTrip();
      assert.ok(held(program.pid).includes(idOf(join(home, "fifo"))));
      assert.equal(statSync(join(home, "own.sock")).uid, uid);
      for (const name of readdirSync(home)) rmSync(join(home, name), { recursive: true });
    }
  });
});

describe("images that do not say which file it was", () => {
  const opener: Opener = {
    holders: [{ uid: USER, gid: USER, groups: [], capabilities: 0n }],
    isMadeHere: () => false,
    mounts: OWN_VIEW,
    note: () => undefined,
  };

  test("are opened with the rights of their processes", () => {
    const mine = join(home, "mine");
    writeFileSync(mine, "mine");
    chownSync(mine, USER, USER);
    closeSync(reopen(opener, { path: mine }, 0));
    assert.throws(() => reopen(opener, { path: secret }, 0), /EACCES/);
    assert.throws(() => reopen({ ...opener, holders: [] }, { path: mine }, 0), /nobody is known/);
    const two = [...opener.holders, { uid: USER + 1, gid: USER + 1, groups: [], capabilities: 0n }];
    chmodSync(mine, 0o600);
    assert.throws(() => reopen({ ...opener, holders: two }, { path: mine }, 0), new RegExp(`user ${USER + 1}`));
    // Afterwards we have our own rights again.
    closeSync(openSync(secret, "r"));
    assert.match(readFileSync("/proc/thread-self/status", "utf8"), /^Uid:\t0\t0\t0\t0$/m);
  });
});

function spawnOrThrow(command: string, ...args: string[]): void {
  const { status } = spawnSync(command, args);
  assert.equal(status, 0, command);
}
