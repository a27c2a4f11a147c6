/** The vector state of one processor in the form of another's, by the layouts that the two makers' CPUID tells. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fitted, flagsNeeded, packXstate, unpackXstate } from "../src/abi/xstate.x86_64.ts";

const COMMON = 0b111n;
const OPMASK = 1n << 5n;
const HI16_ZMM = 1n << 7n;
const AVX512 = OPMASK | (1n << 6n) | HI16_ZMM;
const PKRU = 1n << 9n;
const AMX = 0b11n << 17n;
const NEW_PKRU = 0x5555_5554;

/** Like ptrace gives it: what is enabled at 464, what is in use at 512. */
function area(length: number, enabled: bigint, used: bigint): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeBigUInt64LE(enabled, 464);
  bytes.writeBigUInt64LE(used, 512);
  return bytes;
}

const server = (used: bigint): Buffer => area(11008, COMMON | AVX512 | PKRU | AMX, used);
const emulated = (): Buffer => area(2696, COMMON | PKRU, 0b10n);
const zen4 = (): Buffer => area(2440, COMMON | AVX512 | PKRU, 0b10n);
const zen3 = (): Buffer => area(840, COMMON | PKRU, 0b10n);
const plain = (): Buffer => area(832, COMMON, 0b10n);

describe("vector state", () => {
  test("is the same after packing, whatever its end", () => {
    for (const make of [() => server(COMMON), emulated, zen4, zen3, plain]) {
      for (const last of [0, 1]) {
        const state = make();
        state[state.length - 1] = last;
        assert.deepEqual(unpackXstate(packXstate(state)), state);
      }
    }
    assert.ok(packXstate(server(COMMON)).xstate.length < 800);
  });
  test("stays as it is between processors of one kind", () => {
    const state = server(COMMON | AVX512 | PKRU);
    assert.equal(fitted(state, server(0n)), state);
  });

  test("finds its places in another maker's area", () => {
    const state = server(COMMON | OPMASK | HI16_ZMM | PKRU);
    state.fill(0x11, 576, 832);
    state.fill(0x22, 1088, 1152);
    state.fill(0x33, 1664, 2688);
    state.writeUInt32LE(0x5555_5550, 2688);
    const there = fitted(state, zen4());
    assert.ok(there);
    assert.equal(there.length, 2440);
    assert.equal(there.readBigUInt64LE(464), COMMON | AVX512 | PKRU);
    assert.equal(there.readBigUInt64LE(512), COMMON | OPMASK | HI16_ZMM | PKRU);
    assert.deepEqual(there.subarray(576, 832), Buffer.alloc(256, 0x11));
    assert.deepEqual(there.subarray(832, 896), Buffer.alloc(64, 0x22));
    assert.deepEqual(there.subarray(896, 1408), Buffer.alloc(512));
    assert.deepEqual(there.subarray(1408, 2432), Buffer.alloc(1024, 0x33));
    assert.equal(there.readUInt32LE(2432), 0x5555_5550);
    // And home again.
    const back = fitted(there, server(0b10n));
    assert.deepEqual(back?.subarray(576, 2696), state.subarray(576, 2696));
    assert.equal(fitted(there, zen3()), undefined);
  });

  test("does without protection keys that nobody uses", () => {
    const state = server(COMMON | PKRU);
    state.writeUInt32LE(NEW_PKRU, 2688);
    assert.deepEqual(flagsNeeded(state), ["fpu", "sse", "avx"]);
    for (const other of [emulated(), zen3(), plain()]) {
      assert.equal(fitted(state, other)?.readBigUInt64LE(512), COMMON);
    }
    state.writeUInt32LE(0, 2688);
    assert.deepEqual(flagsNeeded(state), ["fpu", "sse", "avx", "ospke"]);
    assert.equal(fitted(state, plain()), undefined);
    assert.equal(fitted(state, zen3())?.readUInt32LE(832), 0);
  });

  test("that is in use and has no place is named", () => {
    const state = server(COMMON | OPMASK);
    assert.deepEqual(flagsNeeded(state), ["fpu", "sse", "avx", "avx512f"]);
    assert.equal(fitted(state, emulated()), undefined);
  });

  test("that is cut short is nothing", () => {
    assert.equal(fitted(Buffer.alloc(100), server(0n)), undefined);
    assert.deepEqual(flagsNeeded(Buffer.alloc(100)), []);
  });
});
