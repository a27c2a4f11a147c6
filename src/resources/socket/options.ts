/** Socket options that carry state, as a table: read at the freeze, set at the thaw, by their own names. */
import * as v from "valibot";
import { AF, SO, SOL, intBytes } from "../../abi/socket.ts";
import { setOption, trySetOption } from "../../sys/socket.ts";
import { SocketSeries } from "../../sys/socket-series.ts";
import { SyscallError } from "../../sys/call.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { ALL_OPTIONS, IP_OPTIONS, IPV6_OPTIONS, SOCKET_OPTIONS, type Option, type Table } from "./option-tables.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

/** Values by option name: ints as numbers, everything else in hexadecimal. */
export const optionsSchema = v.record(v.string(), v.union([v.number(), v.string()]));
export type Options = v.InferOutput<typeof optionsSchema>;

/** For each sort of socket: what reads its options, and what a new one has. */
const known = new Map<string, { readonly reader: OptionReader; readonly usual: Options }>();

/** What a new socket of the same sort has: only what differs from it is state. `make` opens one. */
export function freezeOptions(
  fd: LocalFd,
  tables: readonly Table[],
  sort: string,
  make: () => LocalFd,
  close: (fd: LocalFd) => void,
): Options {
  let of = known.get(sort);
  if (!of) {
    const reader = new OptionReader(tables);
    const example = make();
    of = { reader, usual: reader.read(example, {}) };
    close(example);
    known.set(sort, of);
  }
  return of.reader.read(fd, of.usual);
}

/** Buffer sizes are no part of a table, because reading gives twice what setting takes. */
const SIZES = {
  SO_SNDBUF: { level: SOL.SOL_SOCKET, option: SO.SO_SNDBUF },
  SO_RCVBUF: { level: SOL.SOL_SOCKET, option: SO.SO_RCVBUF },
} satisfies Table;

/** Asks for all options of some tables in one go. */
class OptionReader {
  readonly #options: readonly (readonly [name: string, option: Option])[];
  readonly #series: SocketSeries;

  constructor(tables: readonly Table[]) {
    this.#options = [...tables, SIZES].flatMap((table) => Object.entries(table));
    this.#series = new SocketSeries(this.#options.map(([, option]) => ({ ask: "option", ...option })));
  }

  /** Those that are not as usual. */
  read(fd: LocalFd, usual: Options): Options {
    const options: Options = {};
    this.#series.run(fd);
    this.#options.forEach(([name, { size }], i) => {
      const value = size === undefined ? this.#series.int(i) : this.#series.bytes(i)?.toString("hex");
      if (value !== undefined && value !== usual[name]) options[name] = value;
    });
    return options;
  }
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

/**
 * Brings a socket that others made to what ours had: sets what differs, where that can still be set. Gives the names of
 * what cannot.
 */
export function matchOptions(fd: LocalFd, wanted: Options, present: Options): string[] {
  return Object.entries(wanted).flatMap(([name, value]) => {
    if (present[name] === value) return [];
    try {
      const stage = LATE.has(name) ? "late" : "early";
      thawOptions(fd, { SO_BUF_LOCK: present["SO_BUF_LOCK"] ?? 0, [name]: value }, stage);
      return [];
    } catch (error) {
      if (error instanceof SyscallError) return [name];
      throw error;
    }
  });
}

function setOne(fd: LocalFd, name: string, value: number | string): void {
  const its = ALL_OPTIONS[name];
  if (!its) throw new InconsistentImage(`unknown socket option ${name}`);
  let bytes = typeof value === "number" ? intBytes(value) : Buffer.from(value, "hex");
  if (name === "SO_RCVLOWAT" && bytes.readInt32LE(0) === 0) bytes = intBytes(1);
  setOption(fd, its.level, its.option, bytes, `Setting ${name} to ${value}`);
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
