/** Socket options that carry state, as a table: read at the freeze, set at the thaw, by their own names. */
import * as v from "valibot";
import { getInt, getOption, setOption, SO, SOL, trySetOption, intBytes, AF } from "../../../abi/socket.ts";
import { SyscallError } from "../../../abi/call.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { ALL_OPTIONS, IP_OPTIONS, IPV6_OPTIONS, SOCKET_OPTIONS, type Table } from "./option-tables.ts";

/** Values by option name: ints as numbers, everything else in hexadecimal. */
export const optionsSchema = v.record(v.string(), v.union([v.number(), v.string()]));
export type Options = v.InferOutput<typeof optionsSchema>;

const fresh = new Map<string, Options>();

/** What a new socket of the same sort has: only what differs from it is state. `make` opens one. */
export function freezeOptions(
  fd: LocalFd,
  tables: readonly Table[],
  sort: string,
  make: () => LocalFd,
  close: (fd: LocalFd) => void,
): Options {
  let usual = fresh.get(sort);
  if (!usual) {
    const example = make();
    usual = readOptions(example, tables);
    close(example);
    fresh.set(sort, usual);
  }
  const now = readOptions(fd, tables);
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => usual[name] !== value));
}

function readOptions(fd: LocalFd, tables: readonly Table[]): Options {
  const options: Options = {};
  for (const table of tables) {
    for (const [name, { level, option, size }] of Object.entries(table)) {
      if (size === undefined) {
        const value = getInt(fd, level, option);
        if (value !== undefined) options[name] = value;
      } else {
        const value = getOption(fd, level, option, size);
        if (value) options[name] = value.toString("hex");
      }
    }
  }
  for (const [name, option] of [
    ["SO_SNDBUF", SO.SO_SNDBUF],
    ["SO_RCVBUF", SO.SO_RCVBUF],
  ] as const) {
    const value = getInt(fd, SOL.SOL_SOCKET, option);
    if (value !== undefined) options[name] = value;
  }
  return options;
}

/** Options that stand in the way while a socket is bound, connected and filled, or that only then mean something. */
const LATE: ReadonlySet<string> = new Set([
  // IP_TOS sets it too.
  "SO_PRIORITY",
  "SO_PEEK_OFF",
  "SO_RCVLOWAT",
  "SO_SNDTIMEO",
  "SO_RCVTIMEO",
  "SO_SNDBUF",
  "SO_RCVBUF",
  "TCP_DEFER_ACCEPT",
  "TCP_CORK",
  "UDP_CORK",
  "TCP_QUICKACK",
  "SO_LOCK_FILTER",
  "SO_BUF_LOCK",
  "SO_PASSCRED",
  "SO_PASSPIDFD",
]);

/** Sets the options of one stage: `early` before bind, `late` when queues are filled. */
export function thawOptions(
  fd: LocalFd,
  options: Options,
  stage: "early" | "late",
  skip: readonly string[] = [],
): void {
  for (const [name, value] of Object.entries(options)) {
    if (LATE.has(name) !== (stage === "late") || skip.includes(name)) continue;
    if (name === "SO_SNDBUF" || name === "SO_RCVBUF") setBufferSize(fd, name, Number(value));
    else if (name !== "SO_BUF_LOCK") setOne(fd, name, value);
  }
  // Setting a size fixes it, where the kernel may have been adapting it. Kernels before 5.16 cannot be told otherwise.
  const { level, option } = SOCKET_OPTIONS.SO_BUF_LOCK;
  if (stage === "late") trySetOption(fd, level, option, intBytes(Number(options["SO_BUF_LOCK"] ?? 0)));
}

function setOne(fd: LocalFd, name: string, value: number | string): void {
  const known = ALL_OPTIONS[name];
  if (!known) throw new RangeError(`unknown socket option ${name}`);
  let bytes = typeof value === "number" ? intBytes(value) : Buffer.from(value, "hex");
  if (name === "SO_RCVLOWAT" && bytes.readInt32LE(0) === 0) bytes = intBytes(1);
  setOption(fd, known.level, known.option, bytes, `Setting ${name} to ${value}`);
}

/** The kernel doubles what is set (socket(7)), and the …FORCE form goes past the system's limit. */
export function setBufferSize(fd: LocalFd, name: "SO_SNDBUF" | "SO_RCVBUF", shown: number): void {
  const forced = trySetOption(fd, SOL.SOL_SOCKET, SO[`${name}FORCE`], intBytes(shown / 2));
  if (forced >= 0) return;
  const result = trySetOption(fd, SOL.SOL_SOCKET, SO[name], intBytes(shown / 2));
  if (result < 0) throw new SyscallError("setsockopt", result, `Setting ${name}`);
}

/** Tables for a family; an IPv6 socket has the options of IPv4 as well. */
export function familyOptions(family: number): readonly Table[] {
  if (family === AF.AF_INET) return [SOCKET_OPTIONS, IP_OPTIONS];
  if (family === AF.AF_INET6) return [SOCKET_OPTIONS, IP_OPTIONS, IPV6_OPTIONS];
  return [SOCKET_OPTIONS];
}
