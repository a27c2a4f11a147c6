/** The units that kmonte writes: systemd reads in them what was meant, whatever the path of kmonte is. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { serviceText, SERVICE_UNIT, SOCKET_TEXT, SOCKET_UNIT } from "../src/daemon/units.ts";
import { requireUnitPath } from "../src/lib/systemd-unit.ts";
import {
  BACK_UNIT,
  backUnitText,
  HEALTH_UNIT,
  healthUnitText,
  THAW_UNIT,
  thawedUnitText,
  unitText,
} from "../src/swap/unit.ts";
import { USER_UNIT, userUnitText } from "../src/units/dynamic-users.ts";
import { THAWED_UNIT } from "../src/units/hand-over.ts";
import { until } from "./harness.ts";
import { KMONTE, launch, parseError } from "./kmonte.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-units-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const found = (command: string): boolean => spawnSync("which", [command]).status === 0;

describe("paths of kmonte that mean something to systemd", () => {
  for (const name of ["plain", "my tools", "100%n", "a $HOME b", "${x}", "#;=", "[a]*?", "ä\u00A0ö"]) {
    test(name, { skip: !found("systemd-analyze") && "needs systemd-analyze" }, () => {
      const place = join(directory, name);
      const command = join(place, "bin/kmonte");
      mkdirSync(dirname(command), { recursive: true });
      writeFileSync(command, "#!/bin/sh\n");
      chmodSync(command, 0o755);
      const options = {
        command,
        root: join(place, "swap"),
        keys: join(place, "keys"),
        state: join(place, "state"),
        otherDisks: true,
      };
      const units = {
        [THAW_UNIT]: unitText(options),
        [HEALTH_UNIT]: healthUnitText(options),
        [BACK_UNIT]: backUnitText(options),
        [THAWED_UNIT]: thawedUnitText(),
        [USER_UNIT]: userUnitText(),
        [SERVICE_UNIT]: serviceText(command, options.keys),
        [SOCKET_UNIT]: SOCKET_TEXT,
      };
      const folder = mkdtempSync(join(directory, "units-"));
      for (const [unit, text] of Object.entries(units)) writeFileSync(join(folder, unit), text);
      for (const unit of Object.keys(units)) {
        const { stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", join(folder, unit)], {
          encoding: "utf8",
          env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:`, SYSTEMD_LOG_LEVEL: "warning" },
        });
        // What other units of this machine lack is not ours.
        const lines = `${stdout}${stderr}`
          .split("\n")
          .filter((line) => line.includes("kmonte") || line.includes(place));
        assert.deepEqual(lines, [], units[unit as keyof typeof units]);
      }
    });
  }

  test("the values reach the shell of the unit as they are", () => {
    // What systemd.service(5) says of a command line, word by word: quotes, specifiers, variables.
    const text = unitText({
      command: "/k",
      root: `${directory}/r o%o$t`,
      keys: "/k",
      state: "/var/lib/kmonte",
      otherDisks: false,
    });
    const [, script = "", root = ""] = /^ExecStartPre=-\/bin\/sh -c '(.*)' "(.*)"$/m.exec(text) ?? [];
    const plain = (word: string): string => word.replaceAll("$$", "$").replaceAll("%%", "%");
    mkdirSync(`${directory}/r o%o$t/one`, { recursive: true });
    writeFileSync(`${directory}/r o%o$t/one/quarantine.nft`, "");
    writeFileSync(`${directory}/r o%o$t/one/pending`, "");
    const bin = join(directory, "tools");
    mkdirSync(bin);
    symlinkSync("/bin/echo", join(bin, "nft"));
    const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
    const said = execFileSync("sh", ["-c", plain(script), plain(root)], { encoding: "utf8", env });
    assert.equal(said, `-f ${directory}/r o%o$t/one/quarantine.nft\n`);
  });

  test("those that systemd takes for no program are refused", () => {
    for (const path of ['/a"b', "/a'b", "/a\\b", "/a\nb", "/a\tb"])
      assert.throws(() => requireUnitPath(path, "the program"), { code: "PATH_NOT_FOR_UNIT" });
    requireUnitPath("/a b%$", "the program");
  });
});

describe("the service for ordinary users", { skip: process.getuid?.() !== 0 && "needs root" }, () => {
  test("is started by its socket, and keeps its place", { skip: !found("systemd-socket-activate") }, async () => {
    const path = join(directory, "kmonte.sock");
    const line = /^ExecStart=(.*)$/m.exec(serviceText(KMONTE, "/etc/kmonte"))?.[1]?.split(" ") ?? [];
    const activation = spawn("systemd-socket-activate", ["-l", path, "-E", `KMONTE_SOCKET=${path}`, ...line], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    activation.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    try {
      // It is there a moment before it can be connected to.
      await until(() => said.includes("Listening on"), "the socket");
      chmodSync(path, 0o666);
      const socket = createConnection(path);
      socket.write('{"verb":"check","pids":[1]}\n');
      let answer = "";
      for await (const part of socket as AsyncIterable<Buffer>) answer += part.toString();
      assert.match(answer, /"REQUEST_FORBIDDEN".*Root runs kmonte itself/);
    } finally {
      activation.kill();
      if (activation.exitCode === null && activation.signalCode === null) await once(activation, "exit");
    }
  });

  test("is not installed where no systemd runs, and nothing is written", async () => {
    const hidden = ["--mount", "sh", "-c", `mount -t tmpfs none /run && exec "$0" "$@" --json`, KMONTE, "serve"];
    for (const option of ["--install", "--uninstall"]) {
      const outcome = await launch("unshare", [...hidden, option]).done;
      assert.equal(outcome.status, 3, outcome.stderr);
      assert.equal(parseError(outcome).code, "NO_SYSTEMD");
    }
    assert.equal(existsSync(`/etc/systemd/system/${SOCKET_UNIT}`), false);
  });

  test("is installed by root alone", async () => {
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", KMONTE, "serve", "--install", "--json"];
    const outcome = await launch("setpriv", nobody, { cwd: "/" }).done;
    assert.equal(parseError(outcome).code, "NOT_ROOT");
  });
});

test("what is documented is what is written", () => {
  const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
  for (const line of ["kmonte serve --install", `systemctl enable --now ${SOCKET_UNIT}`])
    assert.ok(readme.includes(line), line);
});
