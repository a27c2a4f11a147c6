/** Ids that somebody else has, or takes while a thaw makes its processes, each time in a pid namespace of its own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { KMONTE, launch, type Outcome } from "./kmonte.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-taken-ids-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const inside = (...command: string[]): Promise<Outcome> =>
  launch("unshare", ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", ...command], { timeout: 180_000 })
    .done;

/** Of the first id that a helper would have there is only a session, whose leader has ended. */
const SESSION = `set -e
unshare --mount --pid --fork --mount-proc sleep 1000 </dev/null >/dev/null 2>&1 & outer=$!
until inner=$(pgrep -P $outer -x sleep); do sleep 0.05; done
"$0" freeze $inner -o "$1"
echo 32766 >/proc/sys/kernel/ns_last_pid
setsid sh -c 'sleep 1000 </dev/null >/dev/null 2>&1 &'
[ ! -e /proc/32767 ]
pgrep -s 32767 -x sleep
"$0" thaw "$1"
[ -e /proc/$inner ]
`;

test("an id that a session has whose leader has ended is left to it by those who help", async () => {
  const { status, stderr } = await inside("sh", "-c", SESSION, KMONTE, join(folder, "session"));
  assert.equal(status, 0, stderr);
});

/** Thaws in a pid namespace with the name that the frozen one had: the kernel gives it again, as a rule to the next. */
const NAMESAKE = `import os, subprocess, sys
kmonte, image = sys.argv[1:]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
script = 'echo; read go && exec unshare --mount-proc sh -c "$0" "$@"'
inside = '"$0" thaw "$1" && [ -e "/proc/$2" ]'
for tries in range(5):
    outer = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sleep", "1000"], **quiet)
    comm = child = ""
    while comm != "sleep":
        child = open(f"/proc/{outer.pid}/task/{outer.pid}/children").read().strip()
        comm = open(f"/proc/{child}/comm").read().strip() if child else ""
    name = os.readlink(f"/proc/{child}/ns/pid")
    subprocess.run([kmonte, "freeze", child, "-o", f"{image}-{tries}"], check=True)
    outer.wait()
    waiting = []
    while len(waiting) < 50:
        new = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script, inside]
        one = subprocess.Popen([*new, kmonte, f"{image}-{tries}", child], stdin=-1, stdout=-1, text=True)
        waiting.append(one)
        one.stdout.readline()
        if os.readlink(f"/proc/{one.pid}/ns/pid_for_children") != name: continue
        one.communicate("go" + os.linesep)
        sys.exit(one.returncode)
sys.exit("no other namespace was called as a frozen one")`;

test("a pid namespace of the set may be called as the one in which it is thawed", async () => {
  const { status, stderr } = await inside("python3", "-c", NAMESAKE, KMONTE, join(folder, "namesake"));
  assert.equal(status, 0, stderr);
});

/** Takes the last id of a set when the first process of it stands, for some seconds. */
const THIEF = `import os, subprocess, sys, time
kmonte, image, seconds = sys.argv[1:]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
many = "i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i + 1)); done; wait"
shell = subprocess.Popen(["sh", "-c", many], start_new_session=True, **quiet)
children = []
while len(children) < 60:
    children = sorted(map(int, open(f"/proc/{shell.pid}/task/{shell.pid}/children").read().split()))
subprocess.run([kmonte, "freeze", str(shell.pid), "-o", image], check=True)
try:
    while os.wait(): pass
except ChildProcessError: pass
thaw = subprocess.Popen([kmonte, "thaw", image])
while not os.path.exists(f"/proc/{children[0]}"): time.sleep(0.0005)
with open("/proc/sys/kernel/ns_last_pid", "w") as counter: counter.write(str(children[-1] - 1))
thief = os.fork()
if thief == 0:
    time.sleep(float(seconds))
    os._exit(0)
assert thief == children[-1], "the thief came too late"
if float(seconds) < 10: os.waitpid(thief, 0)
status = thaw.wait()
if status == 0: assert open(f"/proc/{thief}/comm").read() == "sleep\\n"
sys.exit(status)`;

const steal = (seconds: number): Promise<Outcome> =>
  inside("python3", "-c", THIEF, KMONTE, join(folder, `for-${seconds}`), String(seconds));

test("an id that is taken after all had been found free is waited for", async () => {
  const { status, stderr } = await steal(1);
  assert.equal(status, 0, stderr);
});

test("where it stays taken, the thaw fails and says who has it", async () => {
  const { status, stderr } = await steal(1000);
  assert.equal(status, 1, stderr);
  assert.match(stderr, /\[PID_LOST\]\n\s+The id is in use by python3\./);
});

/**
 * Thaws a process of many threads in a user namespace, where none of them can be given its id, while another program
 * starts processes that stay, more than a busy boot does: some hundred a second.
 */
const BESIDE = `import os, subprocess, sys, time
kmonte, image = sys.argv[1:]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
threads = """import threading, time
for i in range(40): threading.Thread(target=time.sleep, args=[1000]).start()"""
frozen = subprocess.Popen(["unshare", "--user", "--map-root-user", "python3", "-c", threads], start_new_session=True, **quiet)
while len(os.listdir(f"/proc/{frozen.pid}/task")) < 41: time.sleep(0.01)
before = sorted(os.listdir(f"/proc/{frozen.pid}/task"))
subprocess.run([kmonte, "freeze", str(frozen.pid), "-o", image], check=True)
frozen.wait()
others = """import os, time
for i in range(2000):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.002)"""
beside = subprocess.Popen([sys.executable, "-c", others], start_new_session=True, **quiet)
time.sleep(0.3)
status = subprocess.run([kmonte, "thaw", image]).returncode
if status == 0: assert sorted(os.listdir(f"/proc/{frozen.pid}/task")) == before
sys.exit(status)`;

test("others that start processes at the same time get none of the ids", async () => {
  const { status, stderr } = await inside("python3", "-c", BESIDE, KMONTE, join(folder, "beside"));
  assert.equal(status, 0, stderr);
});
