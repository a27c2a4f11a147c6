/** `kmonte decrypt DIR -o PLAIN`: for debuggers, which read no encrypted core files. */
import { closeSync, writeSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { PrivateDirectory } from "../../image/directory.ts";
import { AGE } from "../../image/files.ts";
import { openKeys } from "../../image/trust/keys.ts";
import { readImage, type Image } from "../../image/read.ts";
import { checkTarget, openParent } from "../../image/write.ts";
import type { Blob } from "../../resources/thaw-context.ts";
import { endAll } from "../../tracee/end-all.x86_64.ts";
import { collect } from "../arguments.ts";
import { printOutcome } from "../output.ts";

interface Options {
  readonly output: string;
  readonly identity?: string[];
  readonly unsigned?: boolean;
  readonly json?: boolean;
}

const PIECE = 1024 * 1024;

export function addDecrypt(program: Command): void {
  program
    .command("decrypt")
    .description("write the files of an encrypted image as they were, for gdb and other readers")
    .argument("<directory>", "the image")
    .requiredOption("-o, --output <directory>", "where they go: a new or empty directory")
    .option("-i, --identity <file>", "a key that the image is opened with; may be given again", collect)
    .option("--unsigned", "open an image that no trusted key has signed")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
The signature and all digests are checked first. The files are readable by their owner alone, and are no image: what
is thawed is always the encrypted one.

Example:
  kmonte decrypt IMAGE -i key.txt -o PLAIN && gdb PROGRAM PLAIN/PID.core`,
    )
    .action((directory: string, options: Options) => {
      checkTarget(options.output);
      const identities = openKeys(options.identity);
      using image = readImage(directory, { unsigned: options.unsigned === true, identities });
      const names = writePlain(image, resolve(options.output));
      printOutcome<"decrypt">(
        options.json,
        { directory: options.output, files: names },
        `Written to ${options.output}: ${names.join(", ")}.`,
      );
    });
}

function writePlain(image: Image, target: string): string[] {
  const parent = openParent(target);
  using plain = new PrivateDirectory(parent, `.${basename(target)}.partial-${process.pid}`);
  const names = image.manifest.files.map(({ name }) => (name.endsWith(AGE) ? name.slice(0, -AGE.length) : name));
  for (const name of names) {
    using file = image.files.open(name);
    const fd = plain.create(name);
    try {
      copy(file, fd);
    } finally {
      closeSync(fd);
    }
  }
  endAll([], plain.moveTo(basename(target)));
  return names;
}

function copy(file: Blob, to: number): void {
  const buffer = Buffer.allocUnsafe(Math.min(PIECE, Math.max(1, file.size)));
  for (let at = 0; at < file.size; at += PIECE) {
    const part = buffer.subarray(0, Math.min(PIECE, file.size - at));
    file.read(part, at);
    for (let done = 0; done < part.length;) done += writeSync(to, part, done, part.length - done, at + done);
  }
}
