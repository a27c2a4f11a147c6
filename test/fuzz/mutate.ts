/** Damage to bytes and to values, made from a number: the same number makes the same damage. */

/** A generator of 32-bit numbers (xorshift): the same everywhere, unlike Math.random. */
export function random(seed: number): () => number {
  let state = (seed ^ 0x9e37_79b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x20, 0x22, 0x2d];
const NUMBERS = [0, 1, -1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 1e308, 4096, 65_536];
const WORDS = ["", "0", "-1", "../../etc/passwd", "\0", "0x", "f".repeat(300), "9".repeat(40), "__proto__", "é\u0000"];

/** Bytes with one to eight places changed, cut, doubled or moved. */
export function mutateBytes(original: Buffer, next: () => number): Buffer {
  let bytes = Buffer.from(original);
  for (let turn = next() % 8; turn >= 0; turn -= 1) {
    if (bytes.length === 0) return bytes;
    const at = next() % bytes.length;
    const length = 1 + (next() % 16);
    switch (next() % 8) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (next() % 8));
        break;
      case 1:
        bytes[at] = INTERESTING[next() % INTERESTING.length] as number;
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)]);
        break;
      case 5:
        bytes.fill(next() & 0xff, at, Math.min(at + length, bytes.length));
        break;
      case 6:
        if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(BigInt(next()) << BigInt(next() % 33), at);
        break;
      default:
        bytes.copy(bytes, at, next() % bytes.length);
    }
  }
  return bytes;
}

/** A copy of a value of JSON with one thing in it replaced, left out or added. */
export function mutateValue(value: unknown, next: () => number): unknown {
  const copy = structuredClone(value);
  const holders: { holder: Record<string, unknown>; key: string }[] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const key of Object.keys(node)) {
      holders.push({ holder: node as Record<string, unknown>, key });
      walk((node as Record<string, unknown>)[key]);
    }
  };
  walk(copy);
  const place = holders[next() % Math.max(holders.length, 1)];
  if (!place) return next() % 2 === 0 ? null : [];
  const { holder, key } = place;
  switch (next() % 7) {
    case 0:
      delete holder[key];
      break;
    case 1:
      holder[key] = NUMBERS[next() % NUMBERS.length];
      break;
    case 2:
      holder[key] = WORDS[next() % WORDS.length];
      break;
    case 3:
      holder[key] = [null, [], {}, true][next() % 4];
      break;
    case 4:
      holder[`${key}x`] = holder[key];
      break;
    case 5:
      holder[key] = structuredClone(holders[next() % holders.length]?.holder);
      break;
    default: {
      const old = holder[key];
      if (typeof old === "number") holder[key] = old + (next() % 3) - 1;
      else if (typeof old === "string") holder[key] = mutateBytes(Buffer.from(old), next).toString("latin1");
      else if (Array.isArray(old)) holder[key] = [...(old as unknown[]), ...(old as unknown[])];
    }
  }
  return copy;
}
