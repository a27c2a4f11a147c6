/** What a swap needs to be sure of before it begins, and what it leaves when it is done or was killed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Defect } from "../src/errors/wrong-input.ts";
import { thaw } from "./kmonte-library.ts";
import { formatRecipient, newIdentity } from "../src/image/encryption/age-keys.ts";
import { newEncryptionKey } from "../src/image/trust/keys.ts";
import { removeImage } from "../src/image/thawed/remove.ts";
import { requireOpenableAtBoot } from "../src/swap/boot-key.ts";
import { lockRoot, removeForgotten } from "../src/swap/leftovers.ts";
import { markPending, newSwapDirectory, pendingMark, type SwapRecord, writeRecord } from "../src/swap/store.ts";
import { clearLoaderEntry, findLoaderEntry, setLoaderEntry } from "../src/swap/systemd-boot.ts";
import { Program, until } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-swap-safety-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const fresh = (name: string): string => mkdtempSync(join(folder, `${name}-`));

function record(id: string, directory: string, more: Partial<SwapRecord> = {}): SwapRecord {
  const base = { version: 1, id, boot: "b", state: "done", from: "6.1", to: "6.12", processes: [], steps: [] } as const;
  return { ...base, processes: [], steps: [], directory, stopped: 1, ...more };
}

test("a swap that nobody could open at boot is refused", () => {
  // On a disk: what lies in memory only is not there at boot.
  const keys = mkdtempSync(join(import.meta.dirname, "../.cache/boot-keys-"));
  try {
    const stranger = formatRecipient(newIdentity().recipient);
    requireOpenableAtBoot([], keys);
    assert.throws(() => requireOpenableAtBoot([stranger], keys), { code: "SWAP_NOT_OPENABLE" });
    const own = formatRecipient(newEncryptionKey(keys).recipient);
    assert.throws(() => requireOpenableAtBoot([stranger], keys), {
      code: "SWAP_NOT_OPENABLE",
      remedy: new RegExp(own),
    });
    requireOpenableAtBoot([stranger, own], keys);
  } finally {
    rmSync(keys, { recursive: true });
  }
});

test("only one kmonte at a time changes the kernel", () => {
  const root = fresh("root");
  {
    using _ = lockRoot(root);
    assert.throws(() => lockRoot(root), { code: "SWAP_IN_PROGRESS" });
  }
  lockRoot(root)[Symbol.dispose]();
});

test("the next swap removes what killed ones have left, and images of those that are done", async () => {
  const root = fresh("root");
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  await thaw({ directory: image });
  const done = newSwapDirectory(root);
  writeRecord(root, record(done.id, image));
  const killed = newSwapDirectory(root);
  writeFileSync(join(killed.path, "secret"), "");
  const waiting = newSwapDirectory(root);
  writeRecord(root, record(waiting.id, join(waiting.path, "frozen"), { state: "pending" }));
  markPending(root, waiting.id);
  const broken = newSwapDirectory(root);
  writeFileSync(join(broken.path, "timeline.json"), "{");
  mkdirSync(join(root, "mine"));
  removeForgotten(root);
  assert.deepEqual(readdirSync(root).sort(), [broken.id, done.id, waiting.id, "mine"].sort());
  assert.deepEqual(readdirSync(image), ["thawed.json"]);
  assert.equal(program.alive, true);
});

test("an image is kept where that was asked for, and one that was never thawed is not removed", async () => {
  const root = fresh("root");
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  assert.throws(() => removeImage(image), Defect);
  const kept = newSwapDirectory(root);
  writeRecord(root, record(kept.id, image, { keep: true }));
  removeForgotten(root);
  await thaw({ directory: image });
});

test("kmonte killed between the mark and the kexec leaves nothing for the next boot to thaw", async () => {
  const root = fresh("root");
  const { id, path } = newSwapDirectory(root);
  const guard = new URL("../src/swap/pending-guard.ts", import.meta.url).href;
  const script = `const { guardPending } = await import(${JSON.stringify(guard)});
    guardPending(${JSON.stringify(pendingMark(root, id))}, ${JSON.stringify(path)});
    console.log("guarded"); setTimeout(() => {}, 60_000);`;
  markPending(root, id);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "-e", script], { stdio: "pipe" });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await until(() => said.includes("guarded"), "the guard");
  assert.equal(existsSync(pendingMark(root, id)), true);
  child.kill("SIGKILL");
  await until(() => !existsSync(path), "the guard to take the swap back");
});

describe("the one-time entry of systemd-boot", () => {
  const RELEASE = "6.1.0-50-amd64";
  const VARIABLE = "LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
  const entry = (release: string, options: string): string =>
    `title Debian\nversion ${release}\nlinux /deb/${release}/linux\ninitrd /deb/${release}/initrd\noptions ${options}\n`;
  /** A machine as its firmware and its boot partition show it. */
  function machine(features: bigint) {
    const variables = fresh("efivars");
    const boot = fresh("boot");
    mkdirSync(join(boot, "loader/entries"), { recursive: true });
    mkdirSync(join(boot, "EFI/Linux"), { recursive: true });
    for (const release of ["6.12.0-1-amd64", RELEASE])
      writeFileSync(join(boot, `loader/entries/deb-${release}.conf`), entry(release, "root=/dev/vda quiet"));
    writeFileSync(join(boot, `loader/entries/a-rescue.conf`), entry(RELEASE, "root=/dev/vda single"));
    writeFileSync(join(boot, "EFI/Linux/0123456789abcdef0123456789abcdef-6.13.1.efi"), "");
    const bytes = Buffer.alloc(12, 0);
    bytes.writeUInt32LE(6);
    bytes.writeBigUInt64LE(features, 4);
    writeFileSync(join(variables, "LoaderFeatures-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), bytes);
    return { variables, partitions: [join(folder, "nowhere"), boot] };
  }

  test("is the variable that the loader reads, and is taken back", () => {
    const places = machine(0xfn);
    assert.equal(setLoaderEntry(RELEASE, places), true);
    const bytes = readFileSync(join(places.variables, VARIABLE));
    assert.equal(bytes.readUInt32LE(0), 7);
    assert.equal(bytes.subarray(4).toString("utf16le"), `deb-${RELEASE}.conf\0`);
    assert.equal(setLoaderEntry("6.12.0-1-amd64", places), true);
    assert.match(readFileSync(join(places.variables, VARIABLE)).toString("utf16le"), /deb-6\.12\.0-1-amd64\.conf\0$/);
    clearLoaderEntry(places);
    clearLoaderEntry(places);
    assert.equal(existsSync(join(places.variables, VARIABLE)), false);
  });
  test("is found among unified images too", () => {
    assert.equal(findLoaderEntry("6.13.1", machine(8n).partitions), "0123456789abcdef0123456789abcdef-6.13.1.efi");
    assert.equal(findLoaderEntry("6.13", machine(8n).partitions), undefined);
  });
  test("is left alone where the loader cannot, or there is no such kernel, or no EFI", () => {
    assert.equal(setLoaderEntry(RELEASE, machine(0x7n)), false);
    assert.equal(setLoaderEntry("5.10", machine(0xfn)), false);
    assert.equal(setLoaderEntry(RELEASE, { variables: join(folder, "nowhere"), partitions: [] }), false);
  });
});
