/** What surrounds kmonte fails: limits, full disks, readers that go away. Each is told by name, and no outcome is lost. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { SyscallError } from "../src/sys/call.ts";
import { ERRNO, type ErrnoName } from "../src/abi/errno.ts";
import { KmonteError } from "../src/errors/failure.ts";
import { namedFailure } from "../src/lib/system-failure.ts";
import { forget } from "../src/swap/leftovers.ts";
import { settleSwap } from "../src/swap/resume.ts";
import { isPending, markPending, newSwapDirectory } from "../src/swap/store.ts";
import { Program } from "./harness.ts";
import { kmonte, KMONTE, launch, parseError, type Outcome } from "./kmonte.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-surroundings-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => join(directory, `new-${(count += 1)}`);

/** Runs a line of sh, in which $0 is kmonte and $1… are the arguments. */
const shell = (line: string, ...args: string[]): Promise<Outcome> => launch("sh", ["-c", line, KMONTE, ...args]).done;

describe("limits", () => {
  for (const limit of [22, 25, 40, 63]) {
    test(`${limit} open files`, async () => {
      const { status, stdout, stderr } = await shell(`ulimit -n ${limit}; exec "$0" check 1`);
      assert.equal(status, 1);
      assert.equal(stdout, "");
      assert.match(stderr, /^kmonte: .*\[OPEN_FILES_LIMIT\]\n {2}.*RLIMIT_NOFILE.*\n {2}Raise/);
      assert.doesNotMatch(stderr, /defect|^ +at /m);
      assert.equal(parseError(await shell(`ulimit -n ${limit}; exec "$0" check 1 --json`)).code, "OPEN_FILES_LIMIT");
    });
  }

  test("too little address space", async () => {
    for (const kibibytes of [1_000_000, 2_000_000]) {
      const { status, stderr } = await shell(`ulimit -v ${kibibytes}; exec "$0" check 1`);
      assert.equal(status, 1);
      assert.match(stderr, /^kmonte: .*\[OUT_OF_MEMORY\]\n {2}.*RLIMIT_AS.*\n {2}Raise/);
    }
    assert.equal(parseError(await shell('ulimit -v 1000000; exec "$0" check 1 --json')).code, "OUT_OF_MEMORY");
  });

  test("files that may not become large", async () => {
    await using program = Program.start("/bin/sleep", ["1000"]);
    const line = 'ulimit -f 1; exec "$0" freeze "$1" -o "$2"';
    const { status, stderr } = await shell(line, String(program.pid), fresh());
    assert.equal(status, 1, stderr);
    assert.match(stderr, /\[IMAGE_WRITE\]\n {2}.*EFBIG.*\n {2}.*ulimit -f/);
    assert.ok(program.alive);
  });

  test("64 open files are enough for a program that has few", async () => {
    await using program = Program.start("/bin/sleep", ["1000"]);
    const { status, stderr } = await shell('ulimit -n 64; exec "$0" freeze "$1" -o "$2"', String(program.pid), fresh());
    assert.equal(status, 0, stderr);
  });

  test("no thread can be started", () => {
    const error = Object.assign(new Error("Worker initialization failure: EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });
    const named = namedFailure(error);
    assert.ok(named instanceof KmonteError);
    assert.equal(named.code, "PROCESS_LIMIT");
    assert.match(named.message, /EAGAIN.*ulimit -u/);
  });
});

describe("a system call that fails", () => {
  const expected: Partial<Record<ErrnoName, string>> = {
    EMFILE: "OPEN_FILES_LIMIT",
    ENFILE: "SYSTEM_OPEN_FILES_LIMIT",
    ENOMEM: "OUT_OF_MEMORY",
    ENOSPC: "NO_SPACE",
    EDQUOT: "QUOTA_EXCEEDED",
    EFBIG: "FILE_SIZE_LIMIT",
    EROFS: "READ_ONLY_FILE_SYSTEM",
    EACCES: "ACCESS_DENIED",
    EPERM: "OPERATION_NOT_PERMITTED",
    ENOSYS: "SYSCALL_MISSING",
    EOPNOTSUPP: "OPERATION_NOT_SUPPORTED",
    EIO: "DEVICE_ERROR",
    EINVAL: "SYSCALL_EINVAL",
  };
  for (const [errno, code] of Object.entries(expected)) {
    test(`with ${errno} has the code ${code}, ours and Node's`, () => {
      const ours = new SyscallError("openat", -ERRNO[errno as ErrnoName], "Opening /x");
      const node = namedFailure(Object.assign(new Error(errno), { code: errno, syscall: "open", path: "/x" }));
      for (const error of [ours, node]) {
        assert.ok(error instanceof KmonteError);
        assert.equal(error.code, code);
        assert.match(error.why ?? "", new RegExp(`open(at)? failed with ${errno}`));
        assert.ok((error.remedy ?? "").length > 20);
        assert.equal(error.facts.errno, errno);
      }
    });
  }

  test("in a command's own process has a name and no stack", async () => {
    const locked = fresh();
    mkdirSync(locked, { mode: 0o500 });
    chmodSync(directory, 0o755);
    chownSync(locked, 65_534, 65_534);
    const keys = join(locked, "no/keys");
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    const env = { ...process.env, KMONTE_KEYS: keys };
    const { status, stderr } = await launch("setpriv", [...nobody, KMONTE, "key", "new"], { env, cwd: "/" }).done;
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^kmonte: mkdir of .*\[ACCESS_DENIED\]\n {2}.*EACCES/m);
    assert.doesNotMatch(stderr, /^ +at /m);
  });
});

test("a working directory that has been removed is named as what is wrong", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const script = 'mkdir "$1" && cd "$1" && rmdir "$1" && exec "$2" freeze "$3" -o image';
  const { status, stderr } = await launch("/bin/sh", ["-c", script, "sh", fresh(), KMONTE, String(program.pid)]).done;
  assert.equal(status, 1, stderr);
  assert.match(stderr, /^kmonte: .*\[WORKING_DIRECTORY_GONE\]\n {2}.*getcwd failed with ENOENT/m);
});

describe("an outcome is not lost", () => {
  const freezing = async (line: string, ...flags: string[]): Promise<Outcome & { image: string }> => {
    await using program = Program.start("/bin/sleep", ["1000"]);
    const image = fresh();
    const outcome = await shell(line, "freeze", String(program.pid), "-o", image, ...flags);
    assert.ok(existsSync(join(image, "manifest.json")), outcome.stderr);
    return { ...outcome, image };
  };

  test("with a full standard output", async () => {
    const { status, stderr, image } = await freezing('"$0" "$@" > /dev/full');
    assert.equal(status, 4, stderr);
    assert.match(stderr, /standard output cannot be written \(ENOSPC\)/);
    assert.ok(stderr.includes(`Frozen to ${image}`), stderr);
    const script = await freezing('"$0" "$@" > /dev/full', "--json");
    assert.equal(script.status, 4);
    assert.match(script.stderr, /"directory": ".*new-/);
  });

  test("on a disk that is full", async () => {
    const disk = fresh();
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16k", "kmonte-test", disk]);
    try {
      const line = `head -c 1M /dev/zero > ${disk}/fill 2>/dev/null; "$0" "$@" > ${disk}/out`;
      const { status, stderr, image } = await freezing(line);
      assert.equal(status, 4, stderr);
      assert.ok(stderr.includes(`Frozen to ${image}`), stderr);
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  test("with a reader that has gone", async () => {
    const { stdout, stderr, image } = await freezing('{ sleep 0.1; "$0" "$@"; echo $? >&2; } | true');
    assert.equal(stdout, "");
    assert.match(stderr, /standard output cannot be written \(EPIPE\)/);
    assert.ok(stderr.includes(`Frozen to ${image}`), stderr);
    assert.match(stderr, /^0$/m);
  });

  test("of a failure, which keeps its status", async () => {
    const { status, stderr } = await shell('"$0" check 4100000 --json > /dev/full');
    assert.equal(status, 3);
    assert.match(stderr, /NO_SUCH_PROCESS/);
  });

  test("of a look is told to be lost, unless its reader has enough", async () => {
    const full = await shell('"$0" kernels > /dev/full');
    assert.equal(full.status, 4);
    assert.match(full.stderr, /^kmonte: standard output cannot be written \(ENOSPC\)\.\n$/);
    const enough = await shell('{ sleep 0.1; "$0" kernels; echo $? >&2; } | true');
    assert.equal(enough.stderr, "0\n");
  });
});

test("a child that was killed meanwhile is not said to go on", async () => {
  const code =
    'import subprocess,time;x=bytearray(8<<20);p=subprocess.Popen(["sleep","1000"]);print("READY",p.pid,flush=True);time.sleep(1000)';
  await using program = Program.start("/usr/bin/python3", ["-c", code]);
  await program.waitFor(/READY \d+/);
  const child = Number(/READY (\d+)/.exec(program.output)?.[1]);
  const disk = fresh();
  mkdirSync(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "kmonte-test", disk]);
  try {
    const freezing = spawn(KMONTE, ["freeze", String(program.pid), "-o", join(disk, "image")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    freezing.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (/^look/m.test(said) && existsSync(`/proc/${child}`)) process.kill(child, "SIGKILL");
    });
    const status = await new Promise((resolve) => freezing.once("close", resolve));
    assert.notEqual(status, 0);
    assert.doesNotMatch(said, /the processes go on as they were/);
    assert.match(said, new RegExp(`Killed by somebody else while kmonte held them: ${child} \\(sleep\\)`));
    assert.ok(program.alive);
  } finally {
    execFileSync("umount", [disk]);
  }
});

describe("records of swaps that cannot be read", () => {
  test("do not make a good thaw fail", { skip: process.getuid?.() !== 0 && "needs root" }, async () => {
    const script = `
      swaps="\${KMONTE_STATE:-/var/lib/kmonte}/swap"
      mkdir -p "$swaps" && mount -t tmpfs none "$swaps" &&
      mkdir "$swaps/20260101T000000Z" && cd "$swaps/20260101T000000Z" && touch pending &&
      echo broken > timeline.json && cd / || exit 99
      setsid sleep 1000 </dev/null >/dev/null 2>&1 & p=$!; trap "kill $p 2>/dev/null" EXIT
      "$0" freeze $p -o "$1" >&2 || exit 98
      wait
      "$0" thaw "$1"; status=$?
      exit $status`;
    const { status, stdout, stderr } = await launch("unshare", ["--mount", "sh", "-c", script, KMONTE, fresh()]).done;
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^Running again: sleep/);
    assert.match(stderr, /note: .*record of a swap cannot be read/);
  });

  test("are settled where the image of that very swap was thawed", () => {
    const root = fresh();
    const { id, path } = newSwapDirectory(root);
    const other = newSwapDirectory(root);
    for (const one of [id, other.id]) markPending(root, one);
    for (const one of [path, other.path]) writeFileSync(join(one, "timeline.json"), "broken");
    assert.equal(settleSwap(join(path, "image"), root).length, 2);
    assert.equal(isPending(root, id), false);
    assert.equal(isPending(root, other.id), true);
  });
});

test("nothing is kept of connections when a swap has come to its end", () => {
  const root = fresh();
  const { id, path } = newSwapDirectory(root);
  mkdirSync(join(path, "image"));
  for (const name of ["quarantine.nft", "quarantine-plain.nft", "timeline.json"]) writeFileSync(join(path, name), "");
  const record = {
    version: 1,
    id,
    boot: "",
    state: "done",
    from: "",
    to: "",
    processes: [],
    steps: [],
    stopped: 0,
  } as const;
  forget(root, { ...record, processes: [], steps: [], directory: join(path, "image") });
  for (const name of ["quarantine.nft", "quarantine-plain.nft"])
    assert.equal(existsSync(join(path, name)), false, name);
  assert.ok(existsSync(join(path, "timeline.json")));
});

test("exit statuses are documented", async () => {
  assert.match((await kmonte("--help")).stdout, /^ {2}4 {4}done, but the result could not be written/m);
  assert.match(readFileSync(join(import.meta.dirname, "../man/kmonte.1"), "utf8"), /^ *4 +done/m);
});
