/** Socket addresses as text and as the kernel has them: unix(7), ip(7), ipv6(7). */
import { SocketAddress } from "node:net";
import { AF } from "./socket.ts";

/** What a unix socket is bound to: the bytes of sun_path, in the way that people write them. `@` marks abstract names. */
export function formatUnixName(path: Buffer): string {
  if (path.length === 0) return "";
  const abstract = path[0] === 0;
  const end = abstract ? path.length : path.indexOf(0) < 0 ? path.length : path.indexOf(0);
  const bytes = path.subarray(abstract ? 1 : 0, end);
  const text = [...bytes]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x5c
        ? `\\x${byte.toString(16).padStart(2, "0")}`
        : String.fromCharCode(byte),
    )
    .join("");
  return `${abstract ? "@" : text.startsWith("@") ? "\\x40" : ""}${!abstract && text.startsWith("@") ? text.slice(1) : text}`;
}

export function parseUnixName(text: string): Buffer {
  if (text === "") return Buffer.alloc(0);
  const abstract = text.startsWith("@");
  const bytes: number[] = [];
  for (const [, escaped, plain] of text.slice(abstract ? 1 : 0).matchAll(/\\x([0-9a-f]{2})|(.)/gs)) {
    bytes.push(escaped === undefined ? (plain as string).charCodeAt(0) : Number.parseInt(escaped, 16));
  }
  return Buffer.from(abstract ? [0, ...bytes] : bytes);
}

/** struct sockaddr_un as getsockname gave it → a name as {@link formatUnixName} writes it. */
export function unixNameOf(raw: Buffer): string {
  return formatUnixName(raw.subarray(2));
}

/** struct sockaddr_un; a path name gets its NUL, an abstract one exactly its bytes. */
export function unixAddress(name: string): Buffer {
  const path = parseUnixName(name);
  const bytes = Buffer.alloc(2 + path.length + (name.startsWith("@") || name === "" ? 0 : 1));
  bytes.writeUInt16LE(AF.AF_UNIX);
  path.copy(bytes, 2);
  return bytes;
}

/** An address of the internet families. */
export interface InetAddress {
  readonly address: string;
  readonly port: number;
  readonly scope?: number | undefined;
  readonly flow?: number | undefined;
}

export function parseInet(raw: Buffer): InetAddress {
  const port = raw.readUInt16BE(2);
  if (raw.readUInt16LE(0) === AF.AF_INET) return { address: [...raw.subarray(4, 8)].join("."), port };
  const groups = Array.from({ length: 8 }, (_, i) => raw.readUInt16BE(8 + i * 2).toString(16));
  const { address } = new SocketAddress({ address: groups.join(":"), family: "ipv6" });
  const scope = raw.readUInt32LE(24);
  const flow = raw.readUInt32BE(4);
  return { address, port, ...(scope !== 0 && { scope }), ...(flow !== 0 && { flow }) };
}

export function inetAddress(family: number, { address, port, scope = 0, flow = 0 }: InetAddress): Buffer {
  const raw = Buffer.alloc(family === AF.AF_INET ? 16 : 28);
  raw.writeUInt16LE(family, 0);
  raw.writeUInt16BE(port, 2);
  addressBytes(address).copy(raw, family === AF.AF_INET ? 4 : 8);
  if (family === AF.AF_INET6) {
    raw.writeUInt32BE(flow, 4);
    raw.writeUInt32LE(scope, 24);
  }
  return raw;
}

/** The 4 or 16 bytes of an address in network order. */
export function addressBytes(text: string): Buffer {
  if (!text.includes(":")) return Buffer.from(text.split(".").map(Number));
  // A dotted tail (::ffff:127.0.0.1) is two groups.
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const group = (high: string, low: string): string => (Number(high) * 256 + Number(low)).toString(16);
    return `${group(a as string, b as string)}:${group(c as string, d as string)}`;
  });
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => "0");
  const bytes = Buffer.alloc(16);
  [...left, ...middle, ...right].forEach((group, i) => bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2));
  return bytes;
}

/** Where a link-local or wildcard address is no single place. */
export function isLoopback(address: string): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(address);
}
