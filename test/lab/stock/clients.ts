/** A client outside of the machine for each of Debian's stock services that has a protocol to keep a connection with. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { NamespaceMachine } from "../../../lab/namespace-machine.ts";
import type { StockServices } from "../../../lab/stock-services.ts";
import { Conversation } from "../conversation.ts";

/** A question, and what its answer must be like. */
type Exchange = readonly [question: string, answer: RegExp];

interface Client {
  /** The services that answer, as far as one question goes. */
  readonly of: string;
  readonly command: (host: string) => readonly string[];
  /** Once, when it has connected. */
  readonly first?: readonly Exchange[];
  /** Before the first reboot (round 0) and after each: the answer tells what was asked before. */
  readonly each: (round: number) => readonly Exchange[];
  /** Once, at the end. */
  readonly last?: readonly Exchange[];
}

const bytes =
  (kind: "tcp" | "udp", port: number): Client["command"] =>
  (host) => ["python3", join(import.meta.dirname, "bytes.py"), kind, host, String(port)];

const web = (of: string, port: number, request: string, answer = /^b["']HTTP\/1\.1 200/): Client => ({
  of,
  command: bytes("tcp", port),
  each: () => [[`${request} HTTP/1.1|Host: lab||`, answer]],
});

const put = '{"key":"bGFi","value":"bGFi"}';
const sql = "insert into t values (1); select count(*) from t;";
/** A question for hostname.bind, which named knows by itself (a text of the class CHAOS, RFC 4892), and what its answer has. */
const HOSTNAME = "12340100000100000000000008686f73746e616d650462696e640000100003";
const LAB = /00100003[0-9a-f]{8}0004036c6162/;
/** What rpcbind has registered (RFC 1833, PMAPPROC_DUMP): the program 400000 at the port 7777 is among it. */
const DUMP = `8000002800000001${"00000000"}00000002000186a00000000200000004${"00000000".repeat(4)}`;
const letter = ["MAIL FROM:<lab@localhost>|", "RCPT TO:<root@localhost>|", "DATA|"];

const clientsOf = ({ php, postfix, postgresql, tomcat }: StockServices): readonly Client[] => [
  web("apache2", 8080, "HEAD /"),
  web("haproxy, before nginx", 8082, "HEAD /"),
  web("nginx", 80, "HEAD /"),
  web("prometheus-node-exporter", 9100, "HEAD /metrics"),
  web("squid, before nginx", 3128, "HEAD http://10.77.0.2/"),
  web(tomcat, 8081, "HEAD /"),
  {
    of: "etcd",
    command: bytes("tcp", 2379),
    each: (round) => [
      [
        `POST /v3/kv/put HTTP/1.1|Host: lab|Content-Length: ${put.length}||${put}`,
        new RegExp(`"revision":"${round + 2}"`),
      ],
    ],
  },
  {
    of: "mariadb",
    command: (host) => ["mariadb", "-n", "-N", "--skip-reconnect", "-h", host, "-u", "lab", "lab"],
    each: (round) => [[sql, new RegExp(`^${round + 1}$`)]],
  },
  {
    of: "memcached",
    command: bytes("tcp", 11_211),
    first: [["set n 0 0 1|0|", /STORED/]],
    each: (round) => [["incr n 1|", new RegExp(`^b'${round + 1}\\\\r`)]],
  },
  {
    of: "mosquitto",
    command: bytes("tcp", 1883),
    first: [
      ["x:100c00044d515454040200000000", /^20020000$/],
      ["x:8208000100036c616200", /^9003000100$/],
    ],
    each: (round) => [[`x:300600036c61623${round}`, new RegExp(`^300600036c61623${round}$`)]],
  },
  { of: "named", command: bytes("udp", 53), each: () => [[`x:${HOSTNAME}`, LAB]] },
  {
    of: `${php}, behind nginx`,
    command: bytes("tcp", 80),
    each: (round) => [
      ["GET /n.php HTTP/1.1|Host: lab|Cookie: PHPSESSID=labsession||", new RegExp(`n=${round + 1}\\\\r`)],
    ],
  },
  {
    of: postfix,
    command: bytes("tcp", 25),
    // Who speaks before having been greeted is sent away.
    first: [
      ["", /220 /],
      ["EHLO lab|", /250[- ]/],
    ],
    // One letter, a line of the dialogue before each reboot.
    each: (round) => [[letter[round] ?? "NOOP|", round === 2 ? /354 / : /250 2/]],
    last: [["Subject: lab||Begun before two reboots.|.|", /250 2/]],
  },
  {
    of: `postgresql@${postgresql}-main`,
    command: (host) => ["psql", "-qAt", "-h", host, "-U", "lab", "postgres"],
    each: (round) => [[sql, new RegExp(`^${round + 1}$`)]],
  },
  {
    of: "rabbitmq-server",
    command: (host) => ["python3", join(import.meta.dirname, "amqp.py"), host, "5672"],
    first: [["put message 0", /^taken$/]],
    each: (round) => [
      [`put message ${round + 1}`, /^taken$/],
      ["get", new RegExp(`^message ${round}$`)],
    ],
  },
  {
    of: "redis-server",
    command: bytes("tcp", 6379),
    each: (round) => [["INCR n|", new RegExp(`^b':${round + 1}\\\\r`)]],
  },
  { of: "rpcbind", command: bytes("tcp", 111), each: () => [[`x:${DUMP}`, /00061a80000000010000000600001e61/]] },
  {
    of: "varnish, before apache2",
    command: bytes("tcp", 6081),
    each: (round) => [[`GET /?round=${round} HTTP/1.1|Host: lab||`, /^b["']HTTP\/1\.1 200/]],
  },
];

/** All of them, connected. */
export class Clients implements Disposable {
  readonly #open: { readonly client: Client; readonly talk: Conversation }[] = [];

  constructor(machine: NamespaceMachine, stock: StockServices) {
    const { host } = machine.network.reach(0, false);
    for (const client of clientsOf(stock)) {
      const [command = "", ...args] = client.command(host);
      this.#open.push({ client, talk: new Conversation(machine, command, ...args) });
    }
  }

  /** Asks all at once, each over its own connection. */
  ask(round: number): Promise<void> {
    return this.#exchange(({ first = [], each }) => [...(round === 0 ? first : []), ...each(round)]);
  }

  end(): Promise<void> {
    return this.#exchange(({ last = [] }) => last);
  }

  async #exchange(choose: (client: Client) => readonly Exchange[]): Promise<void> {
    await Promise.all(
      this.#open.map(async ({ client, talk }) => {
        for (const [question, answer] of choose(client)) assert.match(await talk.ask(question), answer, client.of);
      }),
    );
  }

  [Symbol.dispose](): void {
    for (const { talk } of this.#open) talk[Symbol.dispose]();
  }
}
