/**
 * The XSAVE area in standard form, as PTRACE_GETREGSET of NT_X86_XSTATE gives it (Intel SDM 1, chapter 13; ptrace(2)).
 * Little-endian throughout.
 */

/** State components by their bit, and the flag of /proc/cpuinfo of a processor that has them. */
const COMPONENTS: ReadonlyMap<number, string> = new Map([
  [0, "fpu"],
  [1, "sse"],
  [2, "avx"],
  [3, "mpx"],
  [4, "mpx"],
  [5, "avx512f"],
  [6, "avx512f"],
  [7, "avx512f"],
  [9, "ospke"],
  [17, "amx_tile"],
  [18, "amx_tile"],
]);

/** Up to here, x87, SSE and AVX stand at the same places on every processor. */
const COMMON_SIZE = 832;
const COMMON = 0b111n;
/** Linux leaves the features that are switched on (XCR0) among the bytes that FXSAVE leaves to software. */
const XCR0 = 464;
const XSTATE_BV = 512;
const HEADER_END = 576;

/** Protection keys: all but key 0 are closed in a new program (Linux's init_pkru). */
const PKRU = 9;
const NEW_PKRU = 0x5555_5554;

type Place = readonly [offset: number, size: number];

/** Where components stand. CPUID tells, and there are two answers: areas that have room for MPX, and those that do not. */
const WITH_MPX: ReadonlyMap<number, Place> = new Map([
  [5, [1088, 64]],
  [6, [1152, 512]],
  [7, [1664, 1024]],
  [PKRU, [2688, 8]],
  [17, [2752, 64]],
  [18, [2816, 8192]],
]);
const WITHOUT_MPX: ReadonlyMap<number, Place> = new Map([
  [5, [832, 64]],
  [6, [896, 512]],
  [7, [1408, 1024]],
  [PKRU, [2432, 8]],
]);
/** Without AVX-512 either, protection keys are all that follows. */
const KEYS_ALONE: ReadonlyMap<number, Place> = new Map([[PKRU, [COMMON_SIZE, 8]]]);

/** As an image has it. Of what is not in use there may be many times as much as of what is, and it is zero. */
export interface PackedXstate {
  /** base64, without the zeros at its end. */
  readonly xstate: string;
  /** Its whole length. */
  readonly xstateSize?: number | undefined;
}

const WORD = 8;

export function packXstate(area: Buffer): PackedXstate {
  let end = area.length;
  while (end >= WORD && area.readBigUInt64LE(end - WORD) === 0n) end -= WORD;
  return { xstate: area.toString("base64", 0, end), xstateSize: area.length };
}

export function unpackXstate({ xstate, xstateSize = 0 }: PackedXstate): Buffer {
  const bytes = Buffer.from(xstate, "base64");
  return Buffer.concat([bytes, Buffer.alloc(Math.max(xstateSize - bytes.length, 0))]);
}

/** XSTATE_BV: the features of which an area holds something (Intel SDM 1, 13.4.2). */
export function xstateFeatures(area: Buffer): bigint {
  return area.readBigUInt64LE(XSTATE_BV);
}

/** The number of the feature that programs must ask for (ARCH_REQ_XCOMP_PERM of arch_prctl(2)), and its bit. */
export const XFEATURE_XTILE_DATA = 18;
export const TILE_DATA = 1n << BigInt(XFEATURE_XTILE_DATA);

/** Whether there is as much of it as every area has. */
function isWhole(area: Buffer): boolean {
  return area.length >= HEADER_END;
}

function placesIn(area: Buffer): ReadonlyMap<number, Place> {
  const enabled = area.readBigUInt64LE(XCR0);
  if ((enabled & ~COMMON) === 0n) return new Map();
  const has = (bit: number): boolean => ((enabled >> BigInt(bit)) & 1n) === 1n;
  // The last component says how long the area is.
  const fits = (places: ReadonlyMap<number, Place>): boolean =>
    [...places].every(([bit, [offset, size]]) => !has(bit) || offset + size <= area.length);
  if (fits(WITH_MPX)) return WITH_MPX;
  return fits(WITHOUT_MPX) ? WITHOUT_MPX : KEYS_ALONE;
}

/** Components that hold something other than what every program begins with. */
function used(area: Buffer): number[] {
  const bits = xstateFeatures(area);
  const places = placesIn(area);
  return [...Array(63).keys()].filter((bit) => {
    if (((bits >> BigInt(bit)) & 1n) === 0n) return false;
    const keys = bit === PKRU ? places.get(PKRU) : undefined;
    return !keys || area.readUInt32LE(keys[0]) !== NEW_PKRU;
  });
}

/** Flags of /proc/cpuinfo that a processor must have to hold what stands in the area. */
export function flagsNeeded(area: Buffer): readonly string[] {
  if (!isWhole(area)) return [];
  return [...new Set(used(area).map((bit) => COMPONENTS.get(bit) ?? `XSAVE component ${bit}`))];
}

/**
 * The same state in the form of another processor's area, which `like` has; undefined when there is no room for it. The
 * kernel takes an area of its own processor's length and features only.
 */
export function fitted(area: Buffer, like: Buffer): Buffer | undefined {
  if (!isWhole(area)) return undefined;
  if (area.length === like.length && area.readBigUInt64LE(XCR0) === like.readBigUInt64LE(XCR0)) return area;
  const enabled = like.readBigUInt64LE(XCR0);
  const [from, to] = [placesIn(area), placesIn(like)];
  const result = Buffer.from(like);
  area.copy(result, 0, 0, Math.min(COMMON_SIZE, area.length, like.length));
  like.copy(result, XCR0, XCR0, XCR0 + 8);
  let bits = xstateFeatures(area) & COMMON;
  // What a new program has of the others stays.
  bits |= xstateFeatures(like) & ~COMMON;
  for (const bit of used(area)) {
    if (bit < 3) continue;
    const [source, target] = [from.get(bit), to.get(bit)];
    if (((enabled >> BigInt(bit)) & 1n) === 0n || !source || !target) return undefined;
    area.copy(result, target[0], source[0], source[0] + source[1]);
    bits |= 1n << BigInt(bit);
  }
  result.writeBigUInt64LE(bits, XSTATE_BV);
  return result;
}
