/** The mappings of an address space (mmap(2)): where, with what protection, backed by what. */
import { closeSync } from 'node:fs';
import * as v from 'valibot';
import { ADVICE_BY_VMFLAG, MADV, MAP, MLOCK_ONFAULT, PROT, protBits } from '../../abi/mman.ts';
import { O } from '../../abi/fcntl.ts';
import { PR, PR_SET_VMA_ANON_NAME } from '../../abi/prctl.ts';
import { stat } from '../../abi/stat.ts';
import { Refusal } from '../../lib/errors.ts';
import { hex, hexSchema, unhex } from '../../lib/hex.ts';
import type { Mapping } from '../../proc/maps.ts';
import type { FreezeProcess, ThawProcess } from '../contract.ts';
import { contentsObject, type ContentsHandle } from '../objects/contents.ts';
import { RING_PREFIX, ringId } from '../objects/io-uring.ts';
import { mapIntoOnlyGap } from './only-gap.ts';
import { Pagemap, type PageRuns } from './pages.ts';

export const mappingSchema = v.strictObject({
  start: hexSchema,
  end: hexSchema,
  /** Letters among r, w, x. */
  prot: v.pipe(v.string(), v.regex(/^r?w?x?$/)),
  shared: v.boolean(),
  growsDown: v.optional(v.boolean()),
  noReserve: v.optional(v.boolean()),
  locked: v.optional(v.picklist(['now', 'on-fault'])),
  advice: v.optional(v.array(v.picklist(Object.values(ADVICE_BY_VMFLAG)))),
  /** The name that prctl(PR_SET_VMA_ANON_NAME) gave. */
  name: v.optional(v.string()),
  /** What stands behind it; absent for private anonymous memory. */
  backing: v.optional(
    v.strictObject({ object: v.string(), offset: v.number(), writable: v.boolean() }),
  ),
  /** Pages whose contents are in the core file: first page, counted from the start of the mapping, and count. */
  pages: v.array(v.tuple([v.number(), v.number()])),
});
export type MappingState = v.InferOutput<typeof mappingSchema>;

export const mappingsSchema = v.array(mappingSchema);

/** Mappings that the kernel makes by itself and that `vdso.x86_64.ts` looks after. */
const KERNEL_OWNED = new Set(['[vdso]', '[vvar]', '[vvar_vclock]', '[vsyscall]', '[uprobes]']);

export function isKernelOwned(mapping: Mapping): boolean {
  return KERNEL_OWNED.has(mapping.path);
}

/** Looks at every mapping and which of its pages are to be kept. */
export function freezeMappings(process: FreezeProcess): MappingState[] {
  using pagemap = new Pagemap(process.pid);
  const states: MappingState[] = [];
  for (const mapping of process.mappings) {
    if (isKernelOwned(mapping)) continue;
    try {
      states.push(freezeMapping(process, mapping, pagemap));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      process.context.refuse(error);
    }
  }
  return states;
}

function freezeMapping(process: FreezeProcess, mapping: Mapping, pagemap: Pagemap): MappingState {
  refuseSpecial(process, mapping);
  const flags = new Set(mapping.flags);
  const advice = mapping.flags.flatMap((flag) => ADVICE_BY_VMFLAG[flag] ?? []);
  const pages: PageRuns = mapping.shared ? [] : pagemap.ownPages(mapping.start, mapping.end);
  const name = /^\[anon(?:_shmem)?:(.*)\]$/.exec(mapping.path)?.[1];
  return {
    start: hex(mapping.start),
    end: hex(mapping.end),
    prot: mapping.prot,
    shared: mapping.shared,
    ...(flags.has('gd') && { growsDown: true }),
    ...(flags.has('nr') && { noReserve: true }),
    ...(flags.has('lo') && { locked: flags.has('lf') ? ('on-fault' as const) : ('now' as const) }),
    ...(advice.length > 0 && { advice: advice as MappingState['advice'] }),
    ...(name !== undefined && { name }),
    ...(mapping.inode !== 0 && { backing: freezeBacking(process, mapping) }),
    pages: pages.map(([first, count]) => [first, count]),
  };
}

function freezeBacking(process: FreezeProcess, mapping: Mapping): NonNullable<MappingState['backing']> {
  if (mapping.path === 'anon_inode:[io_uring]') {
    return { object: ringId(formatMapDevice(mapping.device), mapping.inode), offset: mapping.offset, writable: true };
  }
  const via = `/proc/${process.pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  const object = contentsObject(process.context, {
    via,
    link: mapping.path,
    stat: stat(via),
    pid: process.pid,
    command: process.command,
    sharedAnonymous: mapping.shared && /^\/dev\/zero \(deleted\)$|^\[anon_shmem:/.test(mapping.path),
  });
  return { object, offset: mapping.offset, writable: mapping.shared && mapping.flags.includes('mw') };
}

/** `major:minor` in decimal from maps' hexadecimal. */
function formatMapDevice(device: string): string {
  return device
    .split(':')
    .map((part) => Number.parseInt(part, 16))
    .join(':');
}

function refuseSpecial(process: FreezeProcess, mapping: Mapping): void {
  const refuse = (code: string, why: string, remedy: string): never => {
    throw new Refusal(
      code,
      {
        what: `Process ${process.pid} (${process.command}) has memory that cannot be frozen.`,
        why: `The mapping at ${hex(mapping.start)} (${mapping.path || 'anonymous'}) ${why}.`,
        remedy,
      },
      { pid: process.pid, command: process.command, address: hex(mapping.start), resource: 'mapping' },
    );
  };
  if (mapping.flags.includes('um') || mapping.flags.includes('uw')) {
    refuse('USERFAULTFD', 'is watched through userfaultfd', 'Let the program unregister the range first.');
  }
  if (mapping.flags.includes('ss')) {
    refuse('SHADOW_STACK', 'is a shadow stack', 'Start the program without user shadow stacks (GLIBC_TUNABLES).');
  }
  if (mapping.path.startsWith('/[aio]')) {
    refuse('AIO', 'is the ring of an asynchronous I/O context', 'Let the program call io_destroy(2) first.');
  }
  if (mapping.path.startsWith('anon_inode:') && mapping.path !== 'anon_inode:[io_uring]') {
    refuse('ANON_INODE_MAPPING', 'belongs to a kernel object that cannot be made again', 'Let the program unmap it.');
  }
  if (mapping.flags.includes('pf') || mapping.flags.includes('io')) {
    refuse('DEVICE_MAPPING', 'is a window into a device', 'Let the program unmap the device first.');
  }
}

/** Makes all mappings, without their contents; those that get contents are writable until these are in. */
export function thawMappings(process: ThawProcess, mappings: readonly MappingState[]): void {
  // Rings first: while the address space is empty, making their place the only one is cheap.
  const isRing = (mapping: MappingState): boolean => mapping.backing?.object.startsWith(RING_PREFIX) === true;
  for (const mapping of mappings.filter(isRing)) thawRingMapping(process, mapping);
  for (const mapping of mappings) if (!isRing(mapping)) thawMapping(process, mapping);
}

/** The kernel refuses to put a ring's memory at an address that the program chooses. */
function thawRingMapping(process: ThawProcess, { start, end, prot, backing }: MappingState): void {
  if (!backing) return;
  const at = unhex(start);
  const length = unhex(end) - at;
  const local = process.context.object<ContentsHandle>(backing.object).open(O.O_RDWR);
  try {
    process.lend(local, (fd) => {
      const about = `Mapping an io_uring at ${start}`;
      const got = mapIntoOnlyGap(process.scope, at, length, () =>
        process.scope.call('mmap', about, 0, length, protBits(prot), MAP.MAP_SHARED | MAP.MAP_POPULATE, fd, backing.offset),
      );
      if (got !== at) throw new RangeError(`the kernel put the ring at ${hex(got)} instead of ${start}`);
    });
  } finally {
    closeSync(local);
  }
}

function thawMapping(process: ThawProcess, mapping: MappingState): void {
  const start = unhex(mapping.start);
  const length = unhex(mapping.end) - start;
  const prot = protBits(mapping.prot) | (mapping.pages.length > 0 ? PROT.PROT_WRITE | PROT.PROT_READ : 0);
  let flags = (mapping.shared ? MAP.MAP_SHARED : MAP.MAP_PRIVATE) | MAP.MAP_FIXED_NOREPLACE;
  if (mapping.growsDown) flags |= MAP.MAP_GROWSDOWN;
  if (mapping.noReserve) flags |= MAP.MAP_NORESERVE;
  const about = `Mapping ${mapping.start} to ${mapping.end}`;
  const { backing } = mapping;
  if (!backing) {
    process.scope.call('mmap', about, start, length, prot, flags | MAP.MAP_ANONYMOUS, -1, 0);
  } else {
    const contents = process.context.object<ContentsHandle>(backing.object);
    const local = contents.open(backing.writable ? O.O_RDWR : 0);
    try {
      process.lend(local, (fd) => process.scope.call('mmap', about, start, length, prot, flags, fd, backing.offset));
    } finally {
      closeSync(local);
    }
  }
}

/** After the contents: protection, advice, locks and names as they were. */
export function finishMappings(process: ThawProcess, mappings: readonly MappingState[]): void {
  const { scope } = process;
  for (const mapping of mappings) {
    const start = unhex(mapping.start);
    const length = unhex(mapping.end) - start;
    const about = `Marking ${mapping.start} to ${mapping.end}`;
    if (mapping.name !== undefined) {
      // Kernels without named anonymous memory (before 5.17) answer EINVAL; the name is for people only.
      scope.attempt('prctl', PR.SET_VMA, PR_SET_VMA_ANON_NAME, start, length, scope.put(Buffer.from(`${mapping.name}\0`)));
    }
    for (const advice of mapping.advice ?? []) scope.call('madvise', about, start, length, MADV[advice]);
    if (mapping.locked) scope.call('mlock2', about, start, length, mapping.locked === 'on-fault' ? MLOCK_ONFAULT : 0);
    if (mapping.pages.length > 0) scope.call('mprotect', about, start, length, protBits(mapping.prot));
  }
}
