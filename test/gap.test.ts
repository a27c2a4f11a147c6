/** Whoever comes to a frozen program's ports between freeze and thaw waits, and is not told that nobody is there. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { thaw } from "./kmonte-library.ts";
import { Program } from "./harness.ts";

const FIXTURES = join(import.meta.dirname, "fixtures");
const skip = existsSync("/usr/sbin/nft") && process.getuid?.() === 0 ? false : "needs root and nft";

/** A machine of its own at the other end of a wire. */
class Neighbour implements Disposable {
  readonly name = `kmonte-${process.pid}`;
  readonly here = { v4: "10.88.9.1", v6: "fd88:9::1" };

  constructor() {
    execFileSync("ip", ["netns", "add", this.name]);
    try {
      const wire = ["link", "add", "kmonte-gap", "type", "veth", "peer", "name", "eth0", "netns", this.name];
      for (const args of [wire, ...this.#end("kmonte-gap", 1)]) execFileSync("ip", args);
      for (const args of this.#end("eth0", 2)) execFileSync("ip", ["-n", this.name, ...args]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #end(device: string, number: number): string[][] {
    return [
      ["address", "add", `10.88.9.${number}/24`, "dev", device],
      ["address", "add", `fd88:9::${number}/64`, "dev", device, "nodad"],
      ["link", "set", device, "up"],
    ];
  }

  /** Python there, in its network and nothing else. */
  start(script: string, ...args: string[]): Program {
    const command = ["/usr/bin/python3", join(FIXTURES, script), ...args];
    return Program.start("nsenter", [`--net=/run/netns/${this.name}`, ...command]);
  }

  [Symbol.dispose](): void {
    execFileSync("ip", ["netns", "delete", this.name]);
  }
}

/** Ours: others may be at work on the machine. */
function tables(): string[] {
  const all = execFileSync("/usr/sbin/nft", ["list", "tables"], { encoding: "utf8" }).match(/kmonte-\S+/g) ?? [];
  return all.filter((name) => name.includes(`-${process.pid}-`));
}

test("newcomers wait for a program that is frozen", { skip }, async () => {
  using neighbour = new Neighbour();
  const { v4, v6 } = neighbour.here;
  const names = ["0.0.0.0", "::", "6only", "::", v4, v6, "127.0.0.1"];
  await using server = Program.start("/usr/bin/python3", [join(FIXTURES, "ports.py"), ...names]);
  await server.waitFor(/^READY$/m);
  const [any4, both, any6, one4, one6, inner] = (/^PORTS (.*)$/m.exec(server.output)?.[1] ?? "").split(" ") as string[];
  const image = await server.freeze();

  const outside = [v4, any4, v4, both, v6, both, v6, any6, v4, one4, v6, one6] as string[];
  await using far = neighbour.start("newcomers.py", ...outside);
  const inside = ["127.0.0.1", any4, "::1", both, "127.0.0.1", both, "::1", any6, v4, one4, "127.0.0.1", inner];
  await using near = Program.start("/usr/bin/python3", [join(FIXTURES, "newcomers.py"), ...(inside as string[])]);
  for (const program of [far, near]) await program.waitFor(/^READY$/m);

  // Somebody else who takes a port meanwhile is not kept from it.
  await using other = createServer((socket) => socket.end("other")).listen({ port: Number(any4), host: "127.0.0.1" });
  await once(other, "listening");
  const [word] = (await once(connect(Number(any4), "127.0.0.1"), "data")) as [Buffer];
  assert.equal(String(word), "other");
  other.close();

  await thaw({ directory: image });
  assert.deepEqual(tables(), []);
  for (const program of [far, near]) {
    process.kill(program.pid, "SIGTERM");
    await program.waitFor(/^(PASS|FAIL.*)$/m);
    assert.match(program.output, /^PASS$/m, program.output);
  }
});
