/** bpf(2), as far as maps go (include/uapi/linux/bpf.h). */
import { BPF, INFO_SIZE, NAME_SIZE } from "../abi/bpf.ts";
import type { LocalFd } from "../lib/brand.ts";
import { SyscallError, attempt, withStruct } from "./call.ts";

type Command = keyof typeof BPF;

function tryBpf(command: Command, size: number, fill: (attr: Buffer) => void): number {
  return withStruct(size, (attr, address) => {
    fill(attr);
    return attempt("bpf", BPF[command], address, size);
  });
}

function bpf(command: Command, size: number, fill: (attr: Buffer) => void): number {
  const result = tryBpf(command, size, fill);
  if (result < 0) throw new SyscallError("bpf", result, `Using a BPF map (${command})`);
  return result;
}

export interface BpfMapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly name: string;
}

/** Struct bpf_map_info. */
export function bpfMapInfo(fd: LocalFd): BpfMapShape & { readonly id: number; readonly typed: boolean } {
  return withStruct(INFO_SIZE, (info, at) => {
    bpf("BPF_OBJ_GET_INFO_BY_FD", 16, (attr) => {
      attr.writeUInt32LE(fd, 0);
      attr.writeUInt32LE(INFO_SIZE, 4);
      attr.writeBigUInt64LE(BigInt(at), 8);
    });
    const word = (index: number): number => info.readUInt32LE(index * 4);
    const name = info.toString("latin1", 24, 24 + NAME_SIZE).replace(/\0.*$/, "");
    return {
      type: word(0),
      id: word(1),
      keySize: word(2),
      valueSize: word(3),
      maxEntries: word(4),
      flags: word(5),
      name,
      /** Whether it has type information (btf_id), which may mean locks and timers inside of values. */
      typed: info.readUInt32LE(64) !== 0,
    };
  });
}

export function createBpfMap({ type, keySize, valueSize, maxEntries, flags, name }: BpfMapShape): LocalFd {
  return bpf("BPF_MAP_CREATE", 72, (attr) => {
    [type, keySize, valueSize, maxEntries, flags].forEach((word, i) => attr.writeUInt32LE(word, i * 4));
    attr.write(name.slice(0, NAME_SIZE - 1), 28, "latin1");
  }) as LocalFd;
}

/** A new descriptor of a map; `access` is BPF_F_RDONLY, BPF_F_WRONLY or 0. */
export function openBpfMap(id: number, access: number): LocalFd {
  return bpf("BPF_MAP_GET_FD_BY_ID", 12, (attr) => {
    attr.writeUInt32LE(id, 0);
    attr.writeUInt32LE(access, 8);
  }) as LocalFd;
}

export function freezeBpfMap(fd: LocalFd): void {
  bpf("BPF_MAP_FREEZE", 8, (attr) => attr.writeUInt32LE(fd, 0));
}

function onElement(command: Command, fd: LocalFd, key: number, value: number): number {
  return tryBpf(command, 32, (attr) => {
    attr.writeUInt32LE(fd, 0);
    attr.writeBigUInt64LE(BigInt(key), 8);
    attr.writeBigUInt64LE(BigInt(value), 16);
  });
}

/** All entries, each a key with its value behind it. */
export function readBpfMap(fd: LocalFd, keySize: number, valueBytes: number): Buffer[] {
  return withStruct(keySize, (key, keyAt) =>
    withStruct(keySize + valueBytes, (entry, at) => {
      const entries: Buffer[] = [];
      let from = 0;
      while (onElement("BPF_MAP_GET_NEXT_KEY", fd, from, at) === 0) {
        entry.copy(key, 0, 0, keySize);
        from = keyAt;
        if (onElement("BPF_MAP_LOOKUP_ELEM", fd, keyAt, at + keySize) === 0) entries.push(Buffer.from(entry));
      }
      return entries;
    }),
  );
}

export function writeBpfMap(fd: LocalFd, keySize: number, entries: Buffer, entrySize: number): void {
  withStruct(entrySize, (entry, at) => {
    for (let offset = 0; offset < entries.length; offset += entrySize) {
      entries.copy(entry, 0, offset, offset + entrySize);
      const result = onElement("BPF_MAP_UPDATE_ELEM", fd, at, at + keySize);
      if (result < 0) throw new SyscallError("bpf", result, "Filling a BPF map");
    }
  });
}
