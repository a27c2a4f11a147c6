/** What was frozen in an earlier boot and does not run: images that a failed thaw has left, or that still wait. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { presentBoot } from "../sys/boot.ts";
import { MANIFEST } from "../image/manifest.ts";
import { defaultSwapRoot, type Failure, isPending, ownImages, readRecordsApart, type SwapRecord } from "./store.ts";

/** Units, or processes without one, with the whole images that they can be had from as they were. */
export interface KeptImages {
  /** The id of the swap or suspend. */
  readonly swap: string;
  readonly frozenAt: string;
  readonly units: readonly string[];
  readonly processes: readonly number[];
  readonly directories: readonly string[];
  /** Why they were not thawed; not there for those that the boot has not come to yet. */
  readonly failure?: Failure;
}

/** Oldest first; nothing of a record that cannot be read, which `kmonte report` speaks of. */
export function keptImages(root: string = defaultSwapRoot()): KeptImages[] {
  const boot = presentBoot();
  return readRecordsApart(root)
    .records.filter((record) => record.boot !== boot)
    .flatMap((record) => keptOf(record, isPending(root, record.id)));
}

function keptOf(record: SwapRecord, pending: boolean): KeptImages[] {
  const { id, units = [], directory, stopped } = record;
  const whole = pending || record.state === "failed";
  const common = whole && directory !== undefined ? [directory] : [];
  const own = [...ownImages(record)].filter(([, of]) => whole || of.some(({ failure }) => failure !== undefined));
  const directories = [...common, ...own.map(([path]) => path)].filter((path) => existsSync(join(path, MANIFEST)));
  if (directories.length === 0) return [];
  const inIt = units.filter((unit) => directories.includes(unit.directory ?? directory ?? ""));
  const failure = record.failure ?? inIt.find((unit) => unit.failure)?.failure;
  return [
    {
      swap: id,
      frozenAt: new Date(stopped).toISOString(),
      units: inIt.map(({ name }) => name),
      processes:
        units.length > 0
          ? inIt.flatMap((unit) => unit.processes.map(({ pid }) => pid))
          : record.processes.map(({ pid }) => pid),
      directories,
      ...(failure && { failure }),
    },
  ];
}
