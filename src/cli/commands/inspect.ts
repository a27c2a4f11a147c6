/** `kmonte inspect DIR` */
import type { Command } from "commander";
import { countPages } from "../../resources/memory/pages.ts";
import { PAGE_SIZE } from "../../abi/mman.ts";
import { readImage, type Image } from "../../image/read.ts";
import { formatBytes, printJson, printLine } from "../output.ts";

interface Options {
  readonly unsigned?: boolean;
  readonly json?: boolean;
}

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("show what is in an image")
    .argument("<directory>", "the image")
    .option("--unsigned", "look into an image that no trusted key has signed")
    .option("--json", "print the manifest and the whole state as JSON")
    .action((directory: string, options: Options) => {
      const image = readImage(directory, { unsigned: options.unsigned === true });
      if (options.json) printJson({ manifest: image.manifest, state: image.state });
      else printImage(image);
    });
}

function printImage({ directory, manifest, state }: Image): void {
  const size = manifest.files.reduce((sum, file) => sum + file.size, 0);
  printLine(
    `${directory}: frozen ${manifest.createdAt} on ${manifest.machine.hostname}, Linux ${manifest.machine.kernel}`,
  );
  printLine(`format ${manifest.format}, ${manifest.files.length} files, ${formatBytes(size)}, all digests right`);
  for (const process of state.processes) {
    printLine();
    printLine(
      `${process.pid}  ${process.command}  (parent ${process.ppid}, group ${process.pgid}, session ${process.sid})`,
    );
    if (!process.body) {
      printLine(`    has ended, status 0x${(process.zombie?.status ?? 0).toString(16)}`);
      continue;
    }
    const { threads, mappings, descriptors } = process.body;
    const pages = mappings.reduce((sum, mapping) => sum + countPages(mapping.pages), 0);
    printLine(
      `    ${threads.length} ${threads.length === 1 ? "thread" : "threads"}, ${mappings.length} mappings, ${formatBytes(pages * PAGE_SIZE)} of own memory`,
    );
    if (process.stopped) printLine(`    stopped by ${process.stopped}`);
    for (const { fd, file } of descriptors) printLine(`    fd ${String(fd).padEnd(4)} ${describeFile(state, file)}`);
  }
}

function describeFile(state: Image["state"], id: string): string {
  const file = state.files[id];
  if (!file) return id;
  const details = file.state as Record<string, unknown>;
  const contents =
    typeof details["contents"] === "string"
      ? (state.objects[details["contents"]] as { path?: string; name?: string })
      : undefined;
  const name = contents?.path ?? contents?.name ?? details["path"] ?? details["pipe"] ?? "";
  return [file.kind, name, file.flags, file.position === "0" ? "" : `at ${file.position}`].filter(Boolean).join("  ");
}
