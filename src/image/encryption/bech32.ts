/** Bech32 (BIP 173), in which age writes its keys: a prefix, 1, data in groups of five bits, six characters of checksum. */

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECKSUM = 6;

function polymod(values: readonly number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ff_ffff) << 5) ^ value;
    GENERATOR.forEach((word, bit) => {
      if ((top >> bit) & 1) sum ^= word;
    });
  }
  return sum >>> 0;
}

function expand(prefix: string): number[] {
  const codes = [...Buffer.from(prefix)];
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
}

/** Between groups of `from` bits and groups of `to` bits; undefined when what is left over is not padding. */
function regroup(data: Iterable<number>, from: number, to: number, pad: boolean): number[] | undefined {
  const out: number[] = [];
  let held = 0;
  let bits = 0;
  for (const value of data) {
    held = (held << from) | value;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push((held >> bits) & ((1 << to) - 1));
    }
    held &= (1 << bits) - 1;
  }
  if (pad && bits > 0) out.push((held << (to - bits)) & ((1 << to) - 1));
  if (!pad && (bits >= from || held !== 0)) return undefined;
  return out;
}

export function bech32(prefix: string, bytes: Buffer): string {
  const data = regroup(bytes, 8, 5, true) ?? [];
  const sum = polymod([...expand(prefix), ...data, ...Array.from({ length: CHECKSUM }, () => 0)]) ^ 1;
  const tail = Array.from({ length: CHECKSUM }, (_, i) => (sum >>> (5 * (CHECKSUM - 1 - i))) & 31);
  return `${prefix}1${[...data, ...tail].map((value) => ALPHABET[value]).join("")}`;
}

/** The bytes behind this prefix; undefined for anything else. All of it in capitals is fine too. */
export function unbech32(prefix: string, text: string): Buffer | undefined {
  const lower = text.toLowerCase();
  if (text !== lower && text !== text.toUpperCase()) return undefined;
  if (!lower.startsWith(`${prefix}1`) || lower.length > 120) return undefined;
  const values = [...lower.slice(prefix.length + 1)].map((character) => ALPHABET.indexOf(character));
  if (values.length < CHECKSUM || values.includes(-1)) return undefined;
  if (polymod([...expand(prefix), ...values]) !== 1) return undefined;
  const bytes = regroup(values.slice(0, -CHECKSUM), 5, 8, false);
  return bytes && Buffer.from(bytes);
}
