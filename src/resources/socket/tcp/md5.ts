/** Keys for the signatures of segments (tcp(7), TCP_MD5SIG), which sock_diag(7) tells those who may set them. */
import { failures } from "../../../errors/catalogue.ts";
import { DIAG_MD5SIG, TCP_MD5SIG_EXT, TCP_MD5SIG_FLAG_PREFIX, MD5SIG, TCP_AO_INFO } from "../../../abi/tcp.ts";
import * as v from "valibot";
import { inetAddress, parseInet } from "../../../abi/sockaddr.ts";
import { AF, IPPROTO } from "../../../abi/socket.ts";
import { getOption, setOption } from "../../../sys/socket.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { InetSocketInfo } from "../../../proc/inet-diag.ts";
import type { OpenFile } from "../../freeze-context.ts";

export const md5KeysSchema = v.array(
  v.strictObject({
    address: v.string(),
    /** Bits of the address that count. */
    prefix: v.number(),
    /** In hexadecimal. */
    key: v.string(),
  }),
);
export type Keys = v.InferOutput<typeof md5KeysSchema>;

const INET_DIAG_MD5SIG = 18;

export function freezeKeys(file: OpenFile, info: InetSocketInfo | undefined): Keys | undefined {
  if (getOption(file.local, IPPROTO.IPPROTO_TCP, TCP_AO_INFO, 56)) {
    throw failures.TCP_AO({ file });
  }
  const all = info?.attributes.get(INET_DIAG_MD5SIG);
  if (!all || all.length < DIAG_MD5SIG.SIZE) return undefined;
  return Array.from({ length: Math.floor(all.length / DIAG_MD5SIG.SIZE) }, (_, i) => {
    const one = all.subarray(i * DIAG_MD5SIG.SIZE, (i + 1) * DIAG_MD5SIG.SIZE);
    const family = one[0] as number;
    const raw = Buffer.alloc(28);
    raw.writeUInt16LE(family, 0);
    one.copy(
      raw,
      family === AF.AF_INET ? 4 : 8,
      DIAG_MD5SIG.ADDRESS,
      DIAG_MD5SIG.ADDRESS + (family === AF.AF_INET ? 4 : 16),
    );
    const key = one.subarray(DIAG_MD5SIG.KEY, DIAG_MD5SIG.KEY + one.readUInt16LE(DIAG_MD5SIG.KEY_LENGTH));
    return { address: parseInet(raw).address, prefix: one[1] as number, key: key.toString("hex") };
  });
}

/** Before the connection is made: what it sends is signed from the first segment on. */
export function thawKeys(fd: LocalFd, keys: Keys | undefined): void {
  for (const { address, prefix, key } of keys ?? []) {
    const bytes = Buffer.alloc(MD5SIG.SIZE);
    inetAddress(address.includes(":") ? AF.AF_INET6 : AF.AF_INET, { address, port: 0 }).copy(bytes);
    bytes[MD5SIG.FLAGS] = TCP_MD5SIG_FLAG_PREFIX;
    bytes[MD5SIG.PREFIX] = prefix;
    bytes.writeUInt16LE(key.length / 2, MD5SIG.KEY_LENGTH);
    bytes.write(key, MD5SIG.KEY, "hex");
    setOption(fd, IPPROTO.IPPROTO_TCP, TCP_MD5SIG_EXT, bytes, `Setting a key for segments of ${address}`);
  }
}
