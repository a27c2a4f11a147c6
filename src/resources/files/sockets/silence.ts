/**
 * Nothing of a connection may pass while its socket is away: an answer from the kernel would be a reset. Tables of
 * nftables hold the drop rules (nft(8)): one for the time of the freeze, whose entries expire by themselves, and one that
 * stays beyond the end of the processes, which the thaw takes away. A guard takes both away at once if kmonte is killed
 * before that end, so that the connections live on.
 */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, writeSync } from "node:fs";
import * as v from "valibot";
import { AF } from "../../../abi/socket.ts";
import { KmonteError } from "../../../lib/errors.ts";
import { makePipe } from "../../objects/pipe-data.ts";

const end = v.strictObject({
  address: v.string(),
  port: v.number(),
  scope: v.optional(v.number()),
  flow: v.optional(v.number()),
});
export const flowSchema = v.strictObject({ local: end, remote: end });
export type Flow = v.InferOutput<typeof flowSchema>;

/** Packets that we inject ourselves pass. */
export const PASS_MARK = 0x6b6d_7465;
const LONGEST_FREEZE_S = 600;

let count = 0;

const PLACES = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

export function nftIsThere(): boolean {
  return PLACES.some((path) => existsSync(path));
}

function nftPath(): string {
  return PLACES.find((path) => existsSync(path)) ?? "nft";
}

function nft(commands: string): string {
  try {
    return execFileSync(nftPath(), ["-f", "-"], { input: commands, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new KmonteError(
      "FIREWALL",
      { what: "Packets of a connection could not be held back.", why: `nft said: ${stderr?.trim() ?? String(cause)}.` },
      { cause },
    );
  }
}

/** `::ffff:1.2.3.4` travels as IPv4. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}

export function isPlainV4(address: string): boolean {
  return !plain(address).includes(":");
}

function rules(table: string, flows: readonly Flow[], expire: boolean): string {
  const timeout = expire ? ` timeout ${LONGEST_FREEZE_S}s` : "";
  const set = (family: number, name: string): string => {
    const type = family === AF.AF_INET ? "ipv4_addr" : "ipv6_addr";
    const mine = flows.filter(({ local }) => isPlainV4(local.address) === (family === AF.AF_INET));
    const elements = mine.map(
      ({ local, remote }) =>
        `${plain(remote.address)} . ${remote.port} . ${plain(local.address)} . ${local.port}${timeout}`,
    );
    const list = elements.length > 0 ? `elements = { ${elements.join(", ")} };` : "";
    return `set ${name} { type ${type} . inet_service . ${type} . inet_service; ${expire ? "flags timeout;" : ""} ${list} }`;
  };
  const drop = (from: string, to: string): string =>
    `meta mark ${PASS_MARK} accept
     ip ${from} . tcp ${from === "saddr" ? "sport" : "dport"} . ip ${to} . tcp ${to === "saddr" ? "sport" : "dport"} @quiet4 drop
     ip6 ${from} . tcp ${from === "saddr" ? "sport" : "dport"} . ip6 ${to} . tcp ${to === "saddr" ? "sport" : "dport"} @quiet6 drop`;
  return `table inet ${table} {
    ${set(AF.AF_INET, "quiet4")}
    ${set(AF.AF_INET6, "quiet6")}
    chain incoming { type filter hook prerouting priority -400; ${drop("saddr", "daddr")}
    }
    chain outgoing { type filter hook output priority -400; ${drop("daddr", "saddr")}
    }
  }\n`;
}

/** The rules that keep the address silent until the thaw, as text for nft(8): for a kernel that is yet to come. */
export function lastingRules(table: string, flows: readonly Flow[]): string {
  return rules(table, flows, false);
}

/** Silence for a moment; returns the table to remove. */
export function silenceFor(flows: readonly Flow[]): string | undefined {
  if (!nftIsThere()) return undefined;
  count += 1;
  const table = `kmonte-${process.pid}-${count}`;
  nft(rules(table, flows, true));
  return table;
}

export function removeTable(table: string): void {
  // Adding first makes deleting work whether it is there or not.
  nft(`add table inet ${table}\ndelete table inet ${table}\n`);
}

const ended = new WeakMap<object, Set<string>>();

/** The thaw's part: takes a table away, once however many connections it stands for. */
export function endLasting(context: object, table: string): void {
  const done = ended.get(context) ?? new Set();
  ended.set(context, done);
  if (done.has(table) || !nftIsThere()) return;
  done.add(table);
  removeTable(table);
}

/** Tables of runs that were killed. */
export function removeLeftovers(): void {
  for (const [, table = "", pid = ""] of nft("list tables inet\n").matchAll(/^table inet (kmonte-(\d+)-\d+)$/gm)) {
    if (!existsSync(`/proc/${pid}`)) removeTable(table);
  }
}

/** A shell that waits for a word from us; should we die without one, it takes the tables away. Returns how to say it. */
function startGuard(tables: readonly string[]): () => void {
  const [read, write] = makePipe(0);
  const commands = tables.map((table) => `${nftPath()} delete table inet ${table} 2>/dev/null`).join("; ");
  // Detached: what ends kmonte, such as ^C at the terminal, must not end the guard.
  spawn("/bin/sh", ["-c", `read word || { ${commands}; }`], {
    stdio: [read, "ignore", "ignore"],
    detached: true,
  }).unref();
  closeSync(read);
  let told = false;
  return () => {
    if (told) return;
    told = true;
    writeSync(write, "done\n");
    closeSync(write);
  };
}

/** Silence for the time of a freeze. */
export class Silence {
  /** The table that stays when the processes have ended. */
  readonly lasting: string;
  readonly #table: string;
  readonly #flows: readonly Flow[];
  readonly #since = Date.now();
  readonly #dismissGuard: () => void;

  constructor(flows: readonly Flow[]) {
    removeLeftovers();
    count += 1;
    this.#table = `kmonte-${process.pid}-${count}`;
    this.lasting = `kmonte-gone-${process.pid}-${Date.now()}`;
    this.#flows = flows;
    this.#dismissGuard = startGuard([this.#table, this.lasting]);
    nft(rules(this.#table, flows, true));
  }

  /** Keeps the silence beyond the end of the processes. */
  makeLasting(): void {
    if (Date.now() - this.#since > (LONGEST_FREEZE_S - 30) * 1000) {
      throw new KmonteError("FREEZE_TOO_LONG", {
        what: "The freeze took too long for its connections; the processes go on as they were.",
        why: `Packets were held back for ${LONGEST_FREEZE_S} seconds.`,
        remedy: "Write the image to a faster place.",
      });
    }
    nft(rules(this.lasting, this.#flows, false));
    removeTable(this.#table);
  }

  /** The processes have ended: from now on only the thaw ends the silence. */
  handOver(): void {
    this.#dismissGuard();
  }

  end(): void {
    removeTable(this.lasting);
    removeTable(this.#table);
    this.#dismissGuard();
  }
}
