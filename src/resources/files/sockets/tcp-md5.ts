/** Keys for the signatures of segments (tcp(7), TCP_MD5SIG), which sock_diag(7) tells those who may set them. */
import * as v from "valibot";
import { inetAddress, parseInet } from "../../../abi/sockaddr.ts";
import { AF, getOption, IPPROTO, setOption } from "../../../abi/socket.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { InetSocketInfo } from "../../../proc/inet-diag.ts";
import type { OpenFile } from "../../contract.ts";
import { socketRefusal } from "./external.ts";

export const keysSchema = v.array(
  v.strictObject({
    address: v.string(),
    /** Bits of the address that count. */
    prefix: v.number(),
    /** In hexadecimal. */
    key: v.string(),
  }),
);
export type Keys = v.InferOutput<typeof keysSchema>;

const INET_DIAG_MD5SIG = 18;
/** struct tcp_diag_md5sig: family, prefix, length of the key, address, key. */
const DIAG = { KEY_LENGTH: 2, ADDRESS: 4, KEY: 20, SIZE: 100 } as const;
const TCP_MD5SIG_EXT = 32;
const TCP_MD5SIG_FLAG_PREFIX = 1;
/** struct tcp_md5sig */
const SIG = { FLAGS: 128, PREFIX: 129, KEY_LENGTH: 130, KEY: 136, SIZE: 216 } as const;
/** Answers ENOENT on a socket without TCP-AO (RFC 5925), ENOPROTOOPT on a kernel without. */
const TCP_AO_INFO = 40;

export function freezeKeys(file: OpenFile, info: InetSocketInfo | undefined): Keys | undefined {
  if (getOption(file.local, IPPROTO.IPPROTO_TCP, TCP_AO_INFO, 56)) {
    throw socketRefusal(
      file,
      "TCP_AO",
      "a TCP socket that authenticates its segments (TCP-AO)",
      "its keys live in the kernel and count the segments that they have signed.",
    );
  }
  const all = info?.attributes.get(INET_DIAG_MD5SIG);
  if (!all || all.length < DIAG.SIZE) return undefined;
  return Array.from({ length: Math.floor(all.length / DIAG.SIZE) }, (_, i) => {
    const one = all.subarray(i * DIAG.SIZE, (i + 1) * DIAG.SIZE);
    const family = one[0] as number;
    const raw = Buffer.alloc(28);
    raw.writeUInt16LE(family, 0);
    one.copy(raw, family === AF.AF_INET ? 4 : 8, DIAG.ADDRESS, DIAG.ADDRESS + (family === AF.AF_INET ? 4 : 16));
    const key = one.subarray(DIAG.KEY, DIAG.KEY + one.readUInt16LE(DIAG.KEY_LENGTH));
    return { address: parseInet(raw).address, prefix: one[1] as number, key: key.toString("hex") };
  });
}

/** Before the connection is made: what it sends is signed from the first segment on. */
export function thawKeys(fd: LocalFd, keys: Keys | undefined): void {
  for (const { address, prefix, key } of keys ?? []) {
    const bytes = Buffer.alloc(SIG.SIZE);
    inetAddress(address.includes(":") ? AF.AF_INET6 : AF.AF_INET, { address, port: 0 }).copy(bytes);
    bytes[SIG.FLAGS] = TCP_MD5SIG_FLAG_PREFIX;
    bytes[SIG.PREFIX] = prefix;
    bytes.writeUInt16LE(key.length / 2, SIG.KEY_LENGTH);
    bytes.write(key, SIG.KEY, "hex");
    setOption(fd, IPPROTO.IPPROTO_TCP, TCP_MD5SIG_EXT, bytes, `Setting a key for segments of ${address}`);
  }
}
