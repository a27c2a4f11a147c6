/** Ordinary users freeze and thaw what is theirs, and nothing else: with a real unprivileged user, and as attackers. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freeze, thaw } from "./kmonte-library.ts";
import { stateDirectory } from "../src/lib/state-directory.ts";
import { compile, Program, until } from "./harness.ts";
import { KMONTE, launch, parseError, type Outcome } from "./kmonte.ts";

const USER = 54_321;
const OTHER = 54_322;
const folder = mkdtempSync(join(tmpdir(), "kmonte-service-"));
const socketPath = join(folder, "kmonte.sock");
const home = join(folder, "home");
/** What was started and is to be ended, whoever it belongs to. */
const started = new Set<number>();
let service: ChildProcess;
let told = "";

before(async () => {
  chmodSync(folder, 0o755);
  for (const [name, owner] of [
    ["home", USER],
    ["other", OTHER],
  ] as const) {
    mkdirSync(join(folder, name), { mode: 0o700 });
    chownSync(join(folder, name), owner, owner);
  }
  copyFileSync(compile("../fixtures/witness.c"), join(folder, "witness"));
  chmodSync(join(folder, "witness"), 0o755);
  service = spawn(KMONTE, ["serve"], {
    env: { ...process.env, KMONTE_SOCKET: socketPath },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [service.stdout, service.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (told += text));
  await until(() => /Listening/.test(told) || service.exitCode !== null, "the service");
});
after(() => {
  service.kill();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const pid of started) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  }
  await until(() => [...started].every((pid) => !alive(pid)), "the end of what was started");
  started.clear();
  assert.doesNotMatch(told, /^ +at /m, told);
});

function alive(pid: number): boolean {
  try {
    return !/^[ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1] ?? "Z");
  } catch {
    return false;
  }
}

function comm(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}

const as = (uid: number): string[] => [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];

/** Runs kmonte as a user; what is printed is JSON. */
function ask(uid: number, ...args: string[]): Promise<Outcome> {
  const env = { ...process.env, KMONTE_SOCKET: socketPath };
  return launch("setpriv", [...as(uid), KMONTE, ...args, "--json"], { env, cwd: "/" }).done;
}

interface Own {
  readonly pid: number;
  readonly output: () => string;
}

/** A program of the user's own: working directory, output and all. `exec` is a line for the shell. */
async function run(exec: string, { uid = USER, place = home, ready = /READY/ } = {}): Promise<Own> {
  const out = join(place, `out-${started.size}-${Math.random()}`);
  const script = `cd ${place} && exec ${exec} </dev/null >${out} 2>&1`;
  const child = spawn("setpriv", [...as(uid), "sh", "-c", script], { detached: true, stdio: "ignore", cwd: "/" });
  child.unref();
  const pid = child.pid as number;
  started.add(pid);
  const output = (): string => (existsSync(out) ? readFileSync(out, "utf8") : "");
  await until(() => ready.test(output()) || child.exitCode !== null, `the program to be ready: ${output()}`);
  return { pid, output };
}

const witness = (): Promise<Own> => run(join(folder, "witness"));
let count = 0;
const fresh = (): string => join(home, `image-${(count += 1)}`);

/** Asks the witness itself whether it noticed anything. */
async function assertUnharmed({ pid, output }: Own): Promise<void> {
  assert.ok(alive(pid));
  process.kill(pid, "SIGTERM");
  await until(() => /^(PASS|FAIL.*)$/m.test(output()), `the program to say something: ${output()}`);
  assert.match(output(), /^PASS$/m);
}

async function frozen(own: Own): Promise<string> {
  const image = fresh();
  const { status, stdout, stderr } = await ask(USER, "freeze", String(own.pid), "-o", image);
  assert.equal(status, 0, stdout + stderr);
  await until(() => !existsSync(`/proc/${own.pid}`), "the end of the program");
  return image;
}

async function refused(outcome: Outcome | Promise<Outcome>, code: string, why?: RegExp): Promise<void> {
  const { status, stdout, stderr } = await outcome;
  assert.notEqual(status, 0, stdout);
  const error = parseError({ status, stdout, stderr });
  const codes = [error.code, ...(error.refusals ?? []).map((refusal) => refusal.code)];
  assert.ok(codes.includes(code), stdout);
  if (why) assert.match(stdout, why);
}

describe("a user's own", () => {
  test("program is frozen and thawed with its rights, and never noticed", async () => {
    const own = await witness();
    const rights0 = readFileSync(`/proc/${own.pid}/status`, "utf8");
    const image = await frozen(own);
    for (const name of ["", ...readdirSync(image)]) {
      const { uid, mode } = statSync(join(image, name));
      assert.equal(uid, USER);
      assert.equal(mode & 0o777, name === "" ? 0o700 : 0o600);
    }
    assert.deepEqual(
      readdirSync(home).filter((name) => name.includes("partial")),
      [],
    );
    const { status, stdout, stderr } = await ask(USER, "thaw", image);
    assert.equal(status, 0, stdout + stderr);
    const rights = /^(Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp):.*$/gm;
    assert.deepEqual(readFileSync(`/proc/${own.pid}/status`, "utf8").match(rights), rights0.match(rights));
    assert.equal(statSync(`/proc/${own.pid}`).uid, USER, "its user may look into it");
    await assertUnharmed(own);
    assert.deepEqual(
      readdirSync(stateDirectory()).filter((name) => name.startsWith("incoming")),
      [],
    );
  });

  test("python, with a file, a pipe, a socket pair and a listening socket", async () => {
    const code = [
      "import os,socket,signal,sys,threading",
      "f=open('data','w+');f.write('kept');f.flush();r,w=os.pipe();os.write(w,b'in the pipe')",
      "a,b=socket.socketpair();a.send(b'queued');s=socket.socket();s.bind(('127.0.0.1',0));s.listen()",
      "u=socket.socket(socket.AF_UNIX);u.bind('own.sock');u.listen()",
      "def check(*_):",
      " f.seek(0);c=socket.socket(socket.AF_UNIX);c.connect('own.sock')",
      " import struct;who=struct.unpack('3i',c.getsockopt(1,17,12))",
      ` ok=f.read()=='kept' and os.read(r,99)==b'in the pipe' and b.recv(99)==b'queued' and who[1]==${USER}`,
      " t=socket.create_connection(s.getsockname());print('PASS' if ok else 'FAIL',who,flush=True);os._exit(0)",
      "signal.signal(signal.SIGTERM,check);print('READY',flush=True)",
      "while True: signal.pause()",
    ].join("\n");
    writeFileSync(join(home, "own.py"), code);
    chmodSync(join(home, "own.py"), 0o644);
    const own = await run("/usr/bin/python3 own.py");
    const { status, stdout, stderr } = await ask(USER, "thaw", await frozen(own));
    assert.equal(status, 0, stdout + stderr);
    process.kill(own.pid, "SIGTERM");
    await until(() => /(PASS|FAIL).*\n|Error/.test(own.output()), "python's word");
    assert.match(own.output(), /PASS/);
  });

  test("files in memory are made again after a boot, and nobody else's are taken along from the same folder", async () => {
    const place = mkdtempSync("/dev/shm/kmonte-service-");
    try {
      chownSync(place, USER, USER);
      writeFileSync(join(place, "roots"), "root's secret", { mode: 0o600 });
      const code = [
        "import mmap,os,signal,sys",
        `os.chdir('${place}');f=open('map','w+b');f.truncate(9000);m=mmap.mmap(f.fileno(),9000);m[:4]=b'kept'`,
        "def check(*_):",
        " ok=m[:4]==b'kept' and open('map','rb').read(4)==b'kept' and not os.path.exists('roots')",
        " print('PASS' if ok else 'FAIL',os.stat('map').st_uid,flush=True);os._exit(0)",
        "signal.signal(signal.SIGTERM,check);print('READY',flush=True)",
        "while True: signal.pause()",
      ].join("\n");
      writeFileSync(join(home, "memory.py"), code);
      chmodSync(join(home, "memory.py"), 0o644);
      const own = await run("/usr/bin/python3 memory.py");
      const image = await frozen(own);
      for (const name of readdirSync(image))
        assert.ok(!readFileSync(join(image, name)).includes("root's secret"), name);
      rmSync(place, { recursive: true });
      const { status, stdout, stderr } = await ask(USER, "thaw", image);
      assert.equal(status, 0, stdout + stderr);
      process.kill(own.pid, "SIGTERM");
      await until(() => /(PASS|FAIL).*\n|Error/.test(own.output()), "python's word");
      assert.match(own.output(), new RegExp(`PASS ${USER}`));
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });

  test("program that asked for signals gets them again, and nothing is done with other rights on the way", async () => {
    // The file with an owner is opened before the unlinked one is made anew, at a place where only root may write.
    const code = [
      "import os,fcntl,signal,time",
      "r,w=os.pipe();fcntl.fcntl(r,fcntl.F_SETOWN,os.getpid());fcntl.fcntl(r,fcntl.F_SETFL,os.O_ASYNC)",
      "os.mkdir('sub');f=open('sub/gone','w+');f.write('kept');f.flush();os.unlink('sub/gone')",
      "got=[]",
      "signal.signal(signal.SIGIO,lambda *_: got.append(1))",
      "def check(*_):",
      " os.write(w,b'x');time.sleep(0.1);f.seek(0);print('PASS' if got and f.read()=='kept' else 'FAIL',flush=True);os._exit(0)",
      "signal.signal(signal.SIGTERM,check);print('READY',flush=True)",
      "while True: signal.pause()",
    ].join("\n");
    writeFileSync(join(home, "owner.py"), code);
    chmodSync(join(home, "owner.py"), 0o644);
    const own = await run("/usr/bin/python3 owner.py");
    const image = await frozen(own);
    // A directory that the user cannot write to any more: the kernel is to say so, as it does to the user.
    chownSync(join(home, "sub"), 0, 0);
    await refused(ask(USER, "thaw", image), "ACCESS_DENIED");
    chownSync(join(home, "sub"), USER, USER);
    const { status, stdout, stderr } = await ask(USER, "thaw", image);
    assert.equal(status, 0, stdout + stderr);
    process.kill(own.pid, "SIGTERM");
    await until(() => /(PASS|FAIL).*\n|Error/.test(own.output()), "python's word");
    assert.match(own.output(), /PASS/);
  });

  test("redis, with its data", async () => {
    const own = await run("/usr/bin/redis-server --port 0 --unixsocket redis.sock --save ''", {
      ready: /ready to accept/i,
    });
    const cli = (...args: string[]): Promise<Outcome> =>
      launch("redis-cli", ["-s", join(home, "redis.sock"), ...args]).done;
    assert.match((await cli("set", "key", "kept")).stdout, /OK/);
    const { status, stdout, stderr } = await ask(USER, "thaw", await frozen(own));
    assert.equal(status, 0, stdout + stderr);
    assert.match((await cli("get", "key")).stdout, /kept/);
  });

  test("is looked at without harm, and frozen to go on", async () => {
    const own = await witness();
    assert.equal((await ask(USER, "check", String(own.pid))).status, 0);
    assert.equal((await ask(USER, "freeze", String(own.pid), "-o", fresh(), "--leave-running")).status, 0);
    await assertUnharmed(own);
  });
});

describe("what is not the user's is not touched", () => {
  const freezing = (pid: number, image = fresh()): Promise<Outcome> => ask(USER, "freeze", String(pid), "-o", image);

  test("another user's process, and root's", async () => {
    const own = await run(join(folder, "witness"), { uid: OTHER, place: join(folder, "other") });
    await refused(freezing(own.pid), "NOT_YOURS");
    await refused(ask(USER, "check", String(own.pid)), "NOT_YOURS");
    await assertUnharmed(own);
    await using root = Program.start("/bin/sleep", ["1000"]);
    await refused(freezing(root.pid), "NOT_YOURS");
    assert.ok(root.alive);
  });

  test("a set-user-id program, even when it has given its rights up", async () => {
    const program = join(folder, "set-user-id");
    copyFileSync("/usr/bin/python3.11", program);
    chownSync(program, 0, 0);
    chmodSync(program, 0o4755);
    const drop = `import os,time;os.setresuid(${USER},${USER},${USER});print("READY",flush=True);time.sleep(1000)`;
    const dropped = await run(`${program} -c '${drop}'`);
    await refused(freezing(dropped.pid), "NOT_YOURS", /set-user-id/);
    const wait = 'import time;print("READY",flush=True);time.sleep(1000)';
    const holds = await run(`${program} -c '${wait}'`);
    await refused(freezing(holds.pid), "NOT_YOURS", /user id 0/);
    assert.ok(alive(dropped.pid) && alive(holds.pid));
  });

  test("a file that root has opened for it, and signals that would go to others", async () => {
    const secret = join(folder, "secret");
    writeFileSync(secret, "root's", { mode: 0o600 });
    const line = `exec setpriv ${as(USER).join(" ")} sh -c 'cd ${home} && exec sleep 1000' < ${secret}`;
    const child = spawn("sh", ["-c", line], { detached: true, stdio: "ignore", cwd: "/" });
    const pid = child.pid as number;
    started.add(pid);
    await until(() => readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n", "sleep");
    await refused(freezing(pid), "NOT_YOURS", /secret/);
    const signals = `import os,fcntl,time;r,w=os.pipe();fcntl.fcntl(r,fcntl.F_SETOWN,1);print("READY",flush=True);time.sleep(1000)`;
    const own = await run(`/usr/bin/python3 -c '${signals}'`);
    await refused(freezing(own.pid), "NOT_YOURS", /go to process 1/);
  });

  describe("contents that the user may not read", () => {
    const SECRET = "root's secret, which stands in no image of the user's";
    const fill = `m=b${JSON.stringify(SECRET)}\nos.umask(0o77)\ndef again(fd,how): return os.open(f"/proc/self/fd/{fd}",how)\n`;
    const file = 'def file():\n f=open("held","wb");f.write(m*9);f.close()\nfile()\n';
    const cases: readonly (readonly [what: string, held: string, code?: string])[] = [
      ["of an unlinked file that is open for writing", `${file}fd=os.open("held",os.O_WRONLY);os.unlink("held")`],
      ["of an unlinked file that is open with O_PATH", `${file}fd=os.open("held",os.O_PATH);os.unlink("held")`],
      [
        "of a file that another has replaced",
        `${file}fd=os.open("held",os.O_PATH);os.rename("held","other");file();os.rename("held","other");os.unlink("other")`,
      ],
      ["of a file with a name, open for writing", `${file}fd=os.open("held",os.O_WRONLY|os.O_APPEND)`, "NOT_YOURS"],
      [
        "of a file whose other name is known to root alone",
        `${file}fd=os.open("held",os.O_WRONLY);os.makedirs("private",0o700,True);os.link("held","private/held");os.unlink("held")`,
        "HARD_LINK",
      ],
      [
        "of a temporary file (O_TMPFILE)",
        'f=os.open(".",os.O_TMPFILE|os.O_RDWR,0o600);os.write(f,m);fd=again(f,os.O_WRONLY)',
      ],
      [
        "of a memfd that is open for writing",
        'f=os.memfd_create("m");os.fchmod(f,0o600);os.write(f,m);fd=again(f,os.O_WRONLY)',
      ],
      [
        "of a memfd that is open with O_PATH",
        'f=os.memfd_create("m");os.fchmod(f,0o600);os.write(f,m);fd=again(f,os.O_PATH)',
      ],
      ["of a pipe of which it has the writing end", "r,fd=os.pipe();os.write(fd,m);os.close(r)"],
      [
        "of a FIFO that is gone, of which it has the writing end",
        'os.mkfifo("f");r=os.open("f",os.O_RDWR);os.write(r,m);fd=os.open("f",os.O_WRONLY);os.close(r);os.unlink("f")',
      ],
      [
        "of a FIFO with a name, of which it has the writing end",
        'os.mkfifo("f");r=os.open("f",os.O_RDWR);os.write(r,m);fd=os.open("f",os.O_WRONLY);os.close(r)',
      ],
      [
        "of a file in flight between its sockets",
        `${file}f=os.open("held",os.O_WRONLY);os.unlink("held");a,b=socket.socketpair();socket.send_fds(a,[b"x"],[f]);os.set_inheritable(a.fileno(),True);fd=b.detach()`,
      ],
      [
        "in attributes of an unlinked file (trusted.*)",
        'f=open("held","w+b");os.setxattr("held","trusted.note",m);os.fchmod(f.fileno(),0o666);fd=f.fileno();os.unlink("held")',
      ],
      [
        "in attributes of a folder that is gone (trusted.*)",
        'os.mkdir("d");os.setxattr("d","trusted.note",m);fd=os.open("d",os.O_RDONLY);os.rmdir("d")',
      ],
    ];
    for (const [what, held, code = "NOT_YOURS_TO_READ"] of cases)
      test(what, async () => {
        const place = mkdtempSync(join(folder, "held-"));
        const argv = ["setpriv", ...as(USER), "sh", "-c", `cd ${home}; echo READY >&2; exec sleep 1000`];
        const script = `import os,socket\nos.chdir(${JSON.stringify(place)})\n${fill}${held}\nos.set_inheritable(fd,True)\nos.execvp("setpriv",${JSON.stringify(argv)})`;
        const child = spawn("/usr/bin/python3", ["-c", script], {
          detached: true,
          stdio: ["ignore", "ignore", "pipe"],
        });
        const pid = child.pid as number;
        started.add(pid);
        let said = "";
        child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
        await until(() => said.includes("READY") && comm(pid) === "sleep", `${what}: ${said}`);
        child.stderr?.destroy();
        const image = fresh();
        const outcome = await freezing(pid, image);
        await refused(outcome, code);
        assert.doesNotMatch(outcome.stdout, /private|DEFECT/);
        assert.ok(!existsSync(image));
        assert.ok(alive(pid));
      });

    test("comes along where a descriptor of the set reads", async () => {
      const held = join(home, "given");
      writeFileSync(held, SECRET, { mode: 0o600 });
      const line = `exec setpriv ${as(USER).join(" ")} sh -c 'cd ${home} && exec 4>&1 >/dev/null && exec sleep 1000' 0<${held} >>${held}`;
      const child = spawn("sh", ["-c", line], { detached: true, stdio: "ignore", cwd: "/" });
      const pid = child.pid as number;
      started.add(pid);
      await until(() => comm(pid) === "sleep", "sleep");
      rmSync(held);
      const image = fresh();
      const { status, stdout, stderr } = await ask(USER, "freeze", String(pid), "-o", image, "--leave-running");
      assert.equal(status, 0, stdout + stderr);
      const blobs = readdirSync(image).filter((name) => name.endsWith(".blob"));
      assert.ok(blobs.some((name) => readFileSync(join(image, name), "utf8") === SECRET));
    });

    test("lies beside in its folder in memory, and is left out", async () => {
      const place = mkdtempSync("/dev/shm/kmonte-service-");
      try {
        chownSync(place, USER, USER);
        mkdirSync(join(place, "private"), { mode: 0o700 });
        for (const name of ["roots", "private/below"]) writeFileSync(join(place, name), SECRET, { mode: 0o644 });
        const [own, forWriting] = ["own", "for-writing"].map((name) => join(place, name)) as [string, string];
        for (const path of [own, forWriting]) {
          writeFileSync(path, "the user's");
          chownSync(path, USER, USER);
        }
        chmodSync(forWriting, 0o200);
        const { pid } = await run("/bin/sh -c 'echo READY; exec sleep 1000'", { place });
        const image = fresh();
        const { status, stdout, stderr } = await ask(USER, "freeze", String(pid), "-o", image);
        assert.equal(status, 0, stdout + stderr);
        const state = readFileSync(join(image, "state.json"), "utf8");
        assert.ok(!state.includes(Buffer.from(SECRET).toString("base64")) && !state.includes("below"), state);
        for (const name of ["roots", "private", "for-writing"])
          assert.match(stdout + stderr, new RegExp(`${name} is left out`));
        rmSync(place, { recursive: true });
        const thawed = await ask(USER, "thaw", image);
        assert.equal(thawed.status, 0, thawed.stdout + thawed.stderr);
        const { uid, mode } = statSync(place);
        assert.deepEqual([uid, mode & 0o7777, readFileSync(own, "utf8")], [USER, 0o700, "the user's"]);
        assert.equal(statSync(`/proc/${pid}/cwd`).ino, statSync(place).ino);
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    });

    test("of its own file in memory that it has open for writing only", async () => {
      const place = mkdtempSync("/dev/shm/kmonte-service-");
      try {
        chownSync(place, USER, USER);
        const code =
          'import os,time;os.chdir(os.path.dirname(os.readlink("/proc/self/fd/1")));f=os.open("held",os.O_WRONLY|os.O_CREAT,0o200);print("READY",flush=True);time.sleep(1000)';
        const { pid } = await run(`/usr/bin/python3 -c '${code}'`, { place });
        await refused(freezing(pid), "NOT_YOURS_TO_READ", /held/);
        assert.ok(alive(pid));
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    });

    test("a program that the user may execute and not read, replaced while it runs", async () => {
      const program = join(folder, "unreadable");
      copyFileSync("/bin/sleep", program);
      chmodSync(program, 0o711);
      const child = spawn("setpriv", [...as(USER), program, "1000"], { detached: true, stdio: "ignore", cwd: "/" });
      const pid = child.pid as number;
      started.add(pid);
      await until(() => comm(pid) === "unreadable", "the program");
      rmSync(program);
      await refused(freezing(pid), "NOT_YOURS_TO_READ", /EACCES/);
    });
  });

  test("a directory of root's in the user's own, whatever name the user gives it", async () => {
    const kept = join(home, ".kept.partial-7");
    mkdirSync(join(home, "keys"), { mode: 0o700 });
    writeFileSync(join(home, "keys", "manifest.json"), "root's");
    renameSync(join(home, "keys"), kept);
    const own = await witness();
    assert.equal((await ask(USER, "freeze", String(own.pid), "-o", fresh(), "--leave-running")).status, 0);
    assert.deepEqual(readdirSync(kept), ["manifest.json"]);
    rmSync(kept, { recursive: true });
    await assertUnharmed(own);
  });

  test("what the service itself has open", async () => {
    const own = await witness();
    const through = `{"verb":"freeze","pids":[${own.pid}],"directory":"/proc/self/cwd/x","end":"resume"}\n`;
    for (const text of [through, through.replace("/proc", "//proc")]) assert.match(await say(text), /BAD_REQUEST/);
    await assertUnharmed(own);
  });

  test("places where the user may not write", async () => {
    const own = await witness();
    const theirs = join(folder, "other", "image");
    await refused(freezing(own.pid, theirs), "DIRECTORY_NOT_USABLE", /EACCES/);
    await refused(freezing(own.pid, "/etc/kmonte-image"), "IMAGE_WRITE");
    symlinkSync(join(folder, "other"), join(home, "link"));
    await refused(freezing(own.pid, join(home, "link", "image")), "DIRECTORY_NOT_USABLE", /EACCES/);
    assert.deepEqual(
      readdirSync(join(folder, "other")).filter((name) => name.includes("image")),
      [],
    );
    await assertUnharmed(own);
  });
});

describe("an image is no way to more rights", () => {
  test("altered, or another's", async () => {
    const own = await witness();
    const image = await frozen(own);
    const state = join(image, "state.json");
    const right = readFileSync(state, "utf8");
    writeFileSync(state, right.replace(`${USER}`, "00000"));
    await refused(ask(USER, "thaw", image), "IMAGE_FILE_DIGEST");
    writeFileSync(state, right);
    // The other may read a copy: it is still not the other's process.
    const copy = join(folder, "other", "copy");
    cpSync(image, copy, { recursive: true });
    for (const name of ["", ...readdirSync(copy)]) chownSync(join(copy, name), OTHER, OTHER);
    await refused(ask(OTHER, "thaw", copy), "NOT_YOURS", /asks/);
    await refused(ask(OTHER, "thaw", image), "NOT_AN_IMAGE");
    assert.equal((await ask(USER, "thaw", image)).status, 0);
    await assertUnharmed(own);
  });

  test("one that root froze of a root process", async () => {
    await using root = Program.start("/bin/sleep", ["1000"]);
    const image = fresh();
    await freeze({ pids: [root.pid], directory: image, end: "kill" });
    for (const name of ["", ...readdirSync(image)]) chownSync(join(image, name), USER, USER);
    await until(() => !root.alive && !existsSync(`/proc/${root.pid}`), "its end");
    await refused(ask(USER, "thaw", image), "NOT_YOURS", /user id 0/);
    assert.ok(!existsSync(`/proc/${root.pid}`));
  });

  test("a path that leads elsewhere by now: what is opened is what the user may open", async () => {
    const opener = 'import time;f=open("mine","r+");print("READY",flush=True);time.sleep(1000)';
    writeFileSync(join(home, "mine"), "mine");
    chownSync(join(home, "mine"), USER, USER);
    const own = await run(`/usr/bin/python3 -c '${opener}'`);
    const image = await frozen(own);
    for (const target of [join(folder, "secret"), "/proc/sys/kernel/core_pattern", "/proc/self/mem", "/dev/mem"]) {
      rmSync(join(home, "mine"));
      symlinkSync(target, join(home, "mine"));
      const outcome = await ask(USER, "thaw", image);
      assert.notEqual(outcome.status, 0, `${target}: ${outcome.stdout}`);
      await until(() => !existsSync(`/proc/${own.pid}`), `the end of what was made, with ${target}`);
      assert.doesNotMatch(outcome.stdout, /PID_TAKEN|DEFECT/);
    }
  });

  test("a file of the image swapped while it is verified, many times", async () => {
    const own = await witness();
    const image = await frozen(own);
    const state = join(image, "state.json");
    const [right, wrong] = ["right", "wrong"].map((name) => join(home, name)) as [string, string];
    copyFileSync(state, right);
    writeFileSync(wrong, readFileSync(state, "utf8").replaceAll(`${USER}`, "0"));
    const swaps = { running: true };
    const swapping = (async (): Promise<void> => {
      for (let turn = 0; swaps.running; turn += 1) {
        copyFileSync(turn % 2 === 0 ? wrong : right, `${state}.new`);
        renameSync(`${state}.new`, state);
        await sleep(1);
      }
    })();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const { status } = await ask(USER, "thaw", image, "--again");
      if (status !== 0) continue;
      assert.match(readFileSync(`/proc/${own.pid}/status`, "utf8"), new RegExp(`^Uid:(\\t${USER}){4}$`, "m"));
      process.kill(own.pid, "SIGKILL");
      await until(() => !existsSync(`/proc/${own.pid}`), "its end");
    }
    swaps.running = false;
    await swapping;
  });

  test("thawed by root from where others can write: only a copy is trusted", async () => {
    const own = await witness();
    const image = await frozen(own);
    await thaw({ directory: image });
    await assertUnharmed(own);
  });
});

describe("who asks the service", () => {
  test("somebody in a sandbox, or with rights given up, is turned away", async () => {
    const env = { ...process.env, KMONTE_SOCKET: socketPath };
    const less = launch("setpriv", [...as(USER), "--no-new-privs", KMONTE, "check", "1", "--json"], {
      env,
      cwd: "/",
    }).done;
    await refused(less, "REQUEST_FORBIDDEN", /no_new_privs/);
    const inside = ["--net", "setpriv", ...as(USER), KMONTE, "check", "1", "--json"];
    await refused(launch("unshare", inside, { env, cwd: "/" }).done, "REQUEST_FORBIDDEN", /net namespace/);
    const root = launch(KMONTE, ["check", String(process.pid), "--json"], { env }).done;
    assert.notEqual((await root).stdout.includes("REQUEST_FORBIDDEN"), true, "root goes its own way");
  });

  test("nonsense, too much, and nothing at all get an answer or none, and the service goes on", async () => {
    const nonsense = [
      "\n",
      "{}\n",
      "[1]\n",
      '{"verb":"thaw","directory":"relative","again":false}\n',
      `${"x".repeat(200_000)}`,
    ];
    const more = [
      '{"verb":"freeze","pids":[0],"directory":"/x","end":"kill"}\n',
      '{"verb":"thaw","__proto__":1}\n',
      "\0\n",
    ];
    const answers = await Promise.all([...nonsense, ...more].map((text) => patiently(text)));
    for (const answer of answers) assert.match(answer, /"BAD_REQUEST"/);
    const start = Date.now();
    assert.match(await say(""), /did not come in time/);
    assert.ok(Date.now() - start < 15_000);
    const own = await witness();
    assert.equal((await ask(USER, "check", String(own.pid))).status, 0);
  });

  test("who goes away in the middle has everything taken back", async () => {
    const own = await witness();
    const image = fresh();
    const request = { verb: "freeze", pids: [own.pid], directory: image, end: "kill" };
    const line = `${JSON.stringify(request)}\n`;
    const script = `import socket,sys,time;s=socket.socket(socket.AF_UNIX);s.connect("${socketPath}");s.send(sys.argv[1].encode());time.sleep(float(sys.argv[2]))`;
    for (const patience of ["0", "0.4", "0.7"]) {
      await launch("setpriv", [...as(USER), "/usr/bin/python3", "-c", script, line, patience], { cwd: "/" }).done;
      await sleep(1500);
      // Either it was taken back, or it was done: never neither, never both.
      if (!alive(own.pid)) break;
      assert.ok(!existsSync(image));
    }
    if (existsSync(image)) {
      assert.ok(!alive(own.pid));
      assert.equal((await ask(USER, "thaw", image)).status, 0);
    }
    await assertUnharmed(own);
    assert.deepEqual(
      readdirSync(home).filter((name) => name.includes("partial")),
      [],
    );
  });

  test("one user alone cannot fill it", async () => {
    const answers = (await say("", [], 12)).split(END_OF_ANSWER).slice(0, -1);
    // The oldest make room for the others of the same user.
    assert.equal(answers.filter((text) => text.includes("SERVICE_BUSY")).length, 4, answers.join("|"));
    assert.equal(answers.filter((text) => text.includes("did not come in time")).length, 8, answers.join("|"));
  });

  test("who may not ask gets no process", async () => {
    const children = (): number => readFileSync(`/proc/${service.pid}/task/${service.pid}/children`, "utf8").length;
    const answer = say('{"verb":"check","pids":[1]}\n', ["--no-new-privs"]);
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, children())), 1);
    const said = await answer.finally(() => clearInterval(timer));
    assert.match(said, /REQUEST_FORBIDDEN/);
    assert.equal(most, 0);
  });

  for (const [name, users, said] of [
    ["a user is served while 8 others who say nothing come again and again", 8, ""],
    ["a user is served while 80 others who say nothing come again and again", 80, ""],
    ["a user is served while 80 others who say half of something come again and again", 80, '{"verb"'],
    ["a user is served while 80 others who ask for nonsense come again and again", 80, "{}\n"],
  ] as const) {
    test(name, async () => {
      const own = await witness();
      const crowd = spawn("/usr/bin/python3", ["-c", CROWD, socketPath, String(users), said], {
        stdio: ["ignore", "pipe", "inherit"],
        cwd: "/",
      });
      try {
        await once(crowd.stdout, "data");
        await sleep(2000);
        for (let turn = 0; turn < 3; turn += 1) {
          const { status, stdout, stderr } = await ask(USER, "check", String(own.pid));
          assert.equal(status, 0, stdout + stderr);
        }
      } finally {
        crowd.kill();
        await once(crowd, "close");
      }
      assert.equal((await ask(OTHER, "check", "1")).status, 3, "and afterwards everything is as before");
    });
  }
});

/** Many users, four threads each, until it is ended: they connect, say something or nothing, and wait to be thrown out. */
const CROWD = `
import os, signal, socket, sys, threading
path, users, said = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
def one():
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            if said: s.sendall(said)
            while s.recv(65536): pass
        except OSError: pass
        s.close()
children = []
for i in range(users):
    pid = os.fork()
    if pid == 0:
        os.setgroups([]); os.setresgid(*[62000 + i] * 3); os.setresuid(*[62000 + i] * 3)
        for _ in range(3): threading.Thread(target=one, daemon=True).start()
        one()
    children.append(pid)
def end(*_):
    for pid in children: os.kill(pid, signal.SIGKILL)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True: signal.pause()
`;

/** The same; tries again where there was no room. */
async function patiently(text: string): Promise<string> {
  for (let turn = 0; turn < 100; turn += 1) {
    const answer = await say(text);
    if (answer !== "" && !answer.includes("SERVICE_BUSY")) return answer;
    await sleep(200);
  }
  return "";
}

const END_OF_ANSWER = "\0";

/**
 * What the service answers to the user who says `text`, on so many connections that are made at once: if there are
 * several, each answer is followed by {@link END_OF_ANSWER}.
 */
async function say(text: string, less: readonly string[] = [], connections = 1): Promise<string> {
  const script = `import socket,sys
text=sys.stdin.buffer.read()
every=[socket.socket(socket.AF_UNIX) for _ in range(${connections})]
for s in every: s.connect("${socketPath}")
for s in every:
  try: s.sendall(text)
  except OSError: pass
for s in every:
  try:
    while b := s.recv(65536): sys.stdout.write(b.decode())
  except OSError: pass
  if len(every) > 1: sys.stdout.write("\\0")`;
  const child = spawn("setpriv", [...as(USER), ...less, "/usr/bin/python3", "-c", script], {
    stdio: ["pipe", "pipe", "inherit"],
    cwd: "/",
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (said += part));
  child.stdin.on("error", () => undefined);
  child.stdin.end(text);
  await new Promise((resolve) => child.once("close", resolve));
  return said;
}
