/**
 * Services whose sockets systemd makes (systemd.socket(5)), through reboots: the thawed process and the new systemd
 * share them, nobody who comes meanwhile is turned away, and what cannot be shared again is refused by name.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { DebianRelease } from "../../lab/bootstrap.ts";
import { temporaryDirectory } from "../../lab/lifetime.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { runTool } from "../../lab/tool.ts";
import { ensurePackages } from "../../scripts/packages.ts";
import { Conversation } from "./conversation.ts";
import { bash as shell, suspendAndBoot, suspendAndReturn } from "./suspending.ts";
import { serverMachine } from "./server-machine.ts";

const PATIENCE_MS = 20 * 60_000;
const HERE = join(import.meta.dirname, "socket-units");
const BYTES = join(import.meta.dirname, "stock/bytes.py");
const UNITS = "/etc/systemd/system";
const FILES: Readonly<Record<string, string>> = {
  "/usr/local/bin/echo.py": readFileSync(join(HERE, "echo.py"), "utf8"),
  "/usr/local/bin/guest.py": readFileSync(join(HERE, "guest.py"), "utf8"),
  "/usr/local/bin/store.py": readFileSync(join(HERE, "store.py"), "utf8"),
  [`${UNITS}/echo.socket`]: `[Socket]
ListenStream=7000
ListenStream=/run/echo/stream
ListenSequentialPacket=@echo
ListenDatagram=/run/echo/datagram
FileDescriptorName=lab
[Install]
WantedBy=sockets.target
`,
  [`${UNITS}/echo.service`]: "[Service]\nExecStart=/usr/bin/python3 /usr/local/bin/echo.py\nPrivateTmp=yes\n",
  [`${UNITS}/device.socket`]:
    "[Socket]\nListenStream=10.77.0.2:7003\nFileDescriptorName=lab\n[Install]\nWantedBy=sockets.target\n",
  [`${UNITS}/device.service`]: "[Service]\nExecStart=/usr/bin/python3 /usr/local/bin/echo.py\n",
  [`${UNITS}/guest.service`]:
    "[Unit]\nRequires=echo.socket\nAfter=echo.socket\n[Service]\nExecStart=/usr/bin/python3 /usr/local/bin/guest.py\n",
  [`${UNITS}/each.socket`]: "[Socket]\nListenStream=7001\nAccept=yes\n",
  [`${UNITS}/each@.service`]: "[Service]\nExecStart=/usr/bin/cat\nStandardInput=socket\n",
  [`${UNITS}/store.service`]:
    "[Service]\nType=notify\nExecStart=/usr/bin/python3 /usr/local/bin/store.py\nFileDescriptorStoreMax=4\n",
};

const mainPid = (machine: NamespaceMachine, unit = "echo"): Promise<string> =>
  shell(machine, `systemctl show -P MainPID ${unit}`);

/** Says something at a unix socket of the service and gives the answer. */
const askUnix = (machine: NamespaceMachine, address: string, text: string, type = "STREAM"): Promise<string> =>
  shell(
    machine,
    `python3 -c 'import socket as s
c = s.socket(s.AF_UNIX, s.SOCK_${type}); c.settimeout(30); c.connect("${address}"); c.sendall(b"${text}")
print("" if ${Number(type === "DGRAM")} else c.recv(1000).decode())'`,
  );

/** The codes of what stands in the way of a unit. */
async function obstacles(machine: NamespaceMachine, unit: RegExp): Promise<string[]> {
  const { services } = JSON.parse((await machine.run(["kmonte", "services", "--json"])).stdout.toString()) as {
    services: { unit: string; refusals: { code: string }[] }[];
  };
  const found = services.find((one) => unit.test(one.unit));
  assert.ok(found, `${unit} is among ${services.map((one) => one.unit).join(" ")}`);
  return found.refusals.map(({ code }) => code);
}

/** Does something while a process stands still. */
async function stoppedFor<T>(machine: NamespaceMachine, pid: string, action: () => Promise<T>): Promise<T> {
  await shell(machine, `kill -STOP ${pid}`);
  try {
    return await action();
  } finally {
    await shell(machine, `kill -CONT ${pid}`);
  }
}

async function refused(machine: NamespaceMachine, code: string): Promise<void> {
  const { code: status, stderr } = await machine.run(["kmonte", "suspend", "--restart", "--yes"]);
  assert.equal(status, 3, stderr.toString());
  assert.match(stderr.toString(), new RegExp(`\\[${code}\\]`));
}

for (const debian of ["12", "13"] as const satisfies readonly DebianRelease[]) {
  describe(`socket units on Debian ${debian}`, { timeout: PATIENCE_MS }, () => {
    test("the process and systemd share their sockets after each boot", async (t) => {
      ensurePackages(["openssh-client", "python3"]);
      await using machine = await NamespaceMachine.make(serverMachine(debian));
      assert.equal(await machine.boot({ beforeInit: "echo 5000 >/proc/sys/kernel/ns_last_pid" }), "running");
      for (const [path, text] of Object.entries(FILES)) await machine.put(path, text);
      await shell(
        machine,
        "systemctl daemon-reload; systemctl enable --now echo.socket each.socket store.service guest.service",
      );
      const { host } = machine.network.reach(0, false);
      const at = (port: number) => ["python3", BYTES, "tcp", host, String(port)] as const;
      using guest = new Conversation(machine, ...at(7000));
      const pid = /\d+/.exec(await guest.ask("who|"))?.[0] ?? "";
      assert.equal(await mainPid(machine), pid);
      const insider = await mainPid(machine, "guest");
      await shell(machine, "kmonte protect echo guest");

      await whatCannotBeShared(t, machine, at);
      const isAsBefore = async (): Promise<void> => {
        assert.equal(await mainPid(machine), pid);
        assert.match(await guest.ask("who|"), new RegExp(`^b'${pid}\\\\n'$`));
        assert.equal(await askUnix(machine, "/run/echo/stream", "who"), pid);
        assert.equal(await askUnix(machine, "\\0echo", "who", "SEQPACKET"), pid);
        assert.equal(await mainPid(machine, "guest"), insider);
        await shell(machine, "rm -f /run/guest.log; until [ -s /run/guest.log ]; do sleep 0.1; done");
        assert.match(await shell(machine, "head -n 1 /run/guest.log"), new RegExp(`^${pid} ${pid}$`));
        const links = `links() { find /proc/$1/fd -lname 'socket:*' -printf '%l\\n' | sort -u; }`;
        assert.equal(await shell(machine, `${links}; comm -12 <(links 1) <(links ${pid}) | wc -l`), "4");
      };

      await t.test("a reboot, during which others come all the time", async () => {
        using visitor = new Conversation(machine, "python3", join(HERE, "visitor.py"), host, "7000");
        await suspendAndReturn(machine);
        await isAsBefore();
        // Nobody has been turned away, and nobody else has answered.
        assert.deepEqual(JSON.parse(await visitor.ask("")), { answers: [pid], refused: 0, broken: 0 });
      });

      await t.test("a reboot while a datagram waits", async () => {
        await shell(machine, `kill -STOP ${pid}`);
        await askUnix(machine, "/run/echo/datagram", "waited", "DGRAM");
        await suspendAndReturn(machine);
        await shell(machine, `kill -CONT ${pid}`);
        await isAsBefore();
        assert.equal(await askUnix(machine, "/run/echo/stream", "datagrams"), "waited");
      });

      await t.test("ssh.socket, with a person logged in", () => sshBySocket(machine, host));

      await t.test("a connection that nobody has accepted is named, and goes on", async () => {
        using waiting = await stoppedFor(machine, pid, async () => {
          const client = new Conversation(machine, ...at(7000));
          await shell(machine, "until ss -Hltn 'sport = 7000' | grep -qv '^LISTEN 0 '; do sleep 0.1; done");
          await refused(machine, "TCP_PENDING_CONNECTIONS");
          return client;
        });
        assert.match(await waiting.ask("who|"), new RegExp(`^b'${pid}\\\\n'$`));
      });

      await t.test("a socket unit that listens elsewhere after the boot: systemd starts the service anew", async () => {
        const change = `sed -i 's/ListenStream=7000/ListenStream=7005/' ${UNITS}/echo.socket`;
        await suspendAndBoot(machine, change);
        assert.equal(await shell(machine, "systemctl is-system-running || true"), "degraded");
        const report = await machine.output(["kmonte", "report", "--json"]);
        assert.match(report, /SOCKET_UNIT_MISSING/);
        assert.equal(await shell(machine, "systemctl is-active echo.service echo.socket"), "active\nactive");
        assert.notEqual(await mainPid(machine), pid);
        using other = new Conversation(machine, ...at(7005));
        assert.match(await other.ask("who|"), new RegExp(`^b'${await mainPid(machine)}\\\\n'$`));
        assert.equal(await shell(machine, "systemctl show -P DropInPaths echo"), "");
      });

      await t.test("a thaw by hand on the boot of the freeze", () => byHand(machine));
    });
  });
}

/** ssh.socket as Debian ships it: the first who comes starts ssh.service. */
async function sshBySocket(machine: NamespaceMachine, host: string): Promise<void> {
  using work = temporaryDirectory("kmonte-socket-units-");
  const key = join(work.path, "key");
  await runTool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  await machine.put("/root/.ssh/authorized_keys", readFileSync(`${key}.pub`), 0o600);
  await shell(machine, "systemctl disable --now ssh.service; systemctl enable --now ssh.socket");
  const options = ["-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
  const loop = 'n=0; while read line; do n=$((n+1)); echo "$line $n $$"; done';
  using login = new Conversation(machine, "ssh", ...options, `root@${host}`, loop);
  const [, , session] = (await login.ask("hello")).split(" ");
  await shell(machine, "kmonte protect ssh");
  const pid = await mainPid(machine, "ssh");
  await suspendAndReturn(machine);
  assert.equal(await login.ask("again"), `again 2 ${session}`);
  assert.equal(await mainPid(machine, "ssh"), pid);
  using another = new Conversation(machine, "ssh", ...options, `root@${host}`, loop);
  assert.match(await another.ask("hello"), /^hello 1 /);
  await shell(machine, "kmonte unprotect ssh");
}

/** Nobody gives the unit back to systemd: it must not start the service beside the thawed process. */
async function byHand(machine: NamespaceMachine): Promise<void> {
  await shell(machine, "systemctl stop guest.service; kmonte unprotect echo guest");
  const freeze = async (image: string): Promise<string> => {
    const pid = await mainPid(machine);
    await shell(machine, `kmonte freeze ${pid} -o ${image}; until ! systemctl is-active -q echo; do sleep 0.1; done`);
    return pid;
  };
  const who = (): Promise<string> => askUnix(machine, "/run/echo/stream", "who");
  await freeze("/var/lib/one");
  const anew = await who();
  const { code, stderr } = await machine.run(["kmonte", "thaw", "/var/lib/one"]);
  assert.equal(code, 3);
  assert.match(stderr.toString(), /echo\.service was started anew .* is active\. \[SOCKET_UNIT_USED\]/);
  assert.equal(await who(), anew);

  await askUnix(machine, "/run/echo/datagram", "said before", "DGRAM");
  assert.equal(await freeze("/var/lib/two"), anew);
  await shell(machine, "kmonte thaw /var/lib/two");
  assert.equal(await who(), anew);
  assert.equal(await askUnix(machine, "/run/echo/stream", "datagrams"), "said before");
  assert.equal(await shell(machine, "systemctl is-active echo.socket echo.service || true"), "inactive\nfailed");
  await shell(machine, `kill ${anew}; systemctl reset-failed echo; systemctl start echo.socket`);
  assert.match(await who(), /^\d+$/);
}

/** What systemd has open of a service and would not make again. */
async function whatCannotBeShared(
  t: TestContext,
  machine: NamespaceMachine,
  at: (port: number) => readonly [string, ...string[]],
): Promise<void> {
  await t.test("a connection of its own for each service (Accept=yes), and a store", async () => {
    using one = new Conversation(machine, ...at(7001));
    await one.ask("begin|");
    assert.deepEqual(await obstacles(machine, /^each@/), ["SOCKET_ACTIVATED"]);
    assert.ok((await obstacles(machine, /^store\./)).includes("UNIT_DESCRIPTOR_STORE"));
    const { stderr } = await machine.run(["kmonte", "protect", "store"]);
    assert.match(stderr.toString(), /\[UNIT_DESCRIPTOR_STORE\]/);
  });

  await t.test("a unit of this boot alone, and one whose file has changed", async () => {
    const service = "import socket, time; s = socket.socket(fileno=3); c = s.accept(); time.sleep(1000)";
    await shell(machine, `systemd-run --unit=brief --socket-property=ListenStream=7002 python3 -c '${service}'`);
    using _ = new Conversation(machine, ...at(7002));
    await shell(machine, "until systemctl is-active -q brief.service; do sleep 0.1; done; sleep 1");
    assert.ok((await obstacles(machine, /^brief\./)).includes("SOCKET_ACTIVATED"));
    await shell(machine, "systemctl stop brief.socket brief.service");
    assert.deepEqual(await obstacles(machine, /^echo\./), []);
    await shell(machine, `echo '# changed' >>${UNITS}/echo.socket`);
    assert.ok((await obstacles(machine, /^echo\./)).includes("SOCKET_ACTIVATED"));
    await shell(machine, "systemctl daemon-reload");
    assert.deepEqual(await obstacles(machine, /^echo\./), []);
    await shell(machine, "systemctl enable --now device.socket");
    using guest = new Conversation(machine, ...at(7003));
    await guest.ask("who|");
    assert.ok(
      (await obstacles(machine, /^device\./)).includes("SOCKET_ACTIVATED"),
      "its address comes with the network",
    );
    await shell(machine, "systemctl disable --now device.socket; systemctl stop device.service");
  });
}
