/** Memory protection keys (pkeys(7)): which of them a program has allocated, and which memory they guard. */
import * as v from "valibot";
import { ERRNO } from "../../abi/errno.ts";
import { PAGE_SIZE } from "../../abi/mman.ts";
import { failures } from "../../errors/catalogue.ts";
import type { RemoteScope, Row } from "../../tracee/scope.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import type { MappingState } from "./mappings.ts";
import { ofAnyUser } from "../ordinary-user.ts";

/** Key 0 is everybody's. */
const KEYS = Array.from({ length: 15 }, (_, i) => i + 1);
/** The page above all that a program can map: whether a key is allocated is asked before what is there. */
const NOWHERE = 0x7fff_ffff_f000;

const schema = v.array(v.number());

export const protectionKeys: ProcessResource<number[], "protectionKeys"> = {
  name: "protectionKeys",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  needs: (keys) => (keys.length === 0 ? [] : [{ option: "CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS", what: "pkeys(7)" }]),
  asks: { bytes: 0, calls: () => Object.fromEntries(KEYS.map((key) => [`key ${key}`, probe(key)])) },
  freeze: (_, answers) => KEYS.filter((key) => answers.attempt(`key ${key}`) === -ERRNO.ENOMEM),
  /** With its memory: see {@link allocateKeys}. */
  thaw() {},
};

function probe(key: number): Row {
  return ["pkey_mprotect", NOWHERE, PAGE_SIZE, 0, key];
}

/** Before there are mappings: the kernel takes a free key for memory that can only be executed. */
export function allocateKeys({ scope, pid, command, body }: ProcessOfKeys): void {
  const needed = new Set([...allocated(body), ...guarding(body)]);
  if (needed.size === 0 && ofKernel(body) < 2) return;
  scope.batch(KEYS.map((): Row => ["pkey_alloc", 0, 0]));
  const chosen = ofKernel(body);
  free(
    scope,
    KEYS.filter((key) => !needed.has(key) && key >= chosen),
  );
  const answers = scope.batch([...needed].map(probe));
  if (answers.every((answer) => answer === -ERRNO.ENOMEM)) return;
  throw failures.PROTECTION_KEY({ pid, command, needed: needed.size });
}

/** A key may have been freed while memory still had it, and those below the kernel's own were taken for its sake. */
export function freeKeys({ scope, body }: ProcessOfKeys): void {
  const kept = allocated(body);
  const chosen = ofKernel(body);
  const taken = [...guarding(body), ...KEYS.filter((key) => key < chosen)];
  free(
    scope,
    taken.filter((key) => !kept.includes(key)),
  );
}

/** The key that the kernel has for memory that can only be executed: it takes the lowest that is free. 0 for none. */
function ofKernel(body: Body): number {
  const executable = body.mappings.filter((mapping) => protectionKeyOf(body, mapping) === undefined);
  return executable.reduce((most, { protectionKey = 0 }) => Math.max(most, protectionKey), 0);
}

/** The key that somebody has given to a mapping; memory that can only be executed has one that the kernel chose. */
export function protectionKeyOf(body: Body, { prot, protectionKey }: MappingState): number | undefined {
  return prot === "x" && !allocated(body).includes(protectionKey ?? 0) ? undefined : protectionKey;
}

type Body = { readonly mappings: readonly MappingState[]; readonly resources: Readonly<Record<string, unknown>> };
export type ProcessOfKeys = Pick<ThawProcess, "scope" | "pid" | "command"> & { readonly body: Body };

function allocated({ resources }: Body): readonly number[] {
  return resources[protectionKeys.name] as number[];
}

function guarding(body: Body): number[] {
  return [...new Set(body.mappings.flatMap((mapping) => protectionKeyOf(body, mapping) ?? []))];
}

function free(scope: RemoteScope, keys: readonly number[]): void {
  scope.batch(keys.map((key): Row => ["pkey_free", key]));
}
