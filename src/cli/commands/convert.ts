/** `kmonte convert DIR`: for images of an older kmonte that are to be kept. */
import type { Command } from "commander";
import { convertImage } from "../../image/convert/image.ts";
import { openKeys } from "../../image/trust/keys.ts";
import { collect } from "../arguments.ts";
import { printOutcome } from "../output.ts";

interface Options {
  readonly output?: string;
  readonly identity?: string[];
  readonly unsigned?: boolean;
  readonly json?: boolean;
}

export function addConvert(program: Command): void {
  program
    .command("convert")
    .description("write an image of an older kmonte anew in the present format")
    .argument("<directory>", "the image")
    .option("-o, --output <directory>", "where it goes: a new or empty directory; without it, in the image's place")
    .option("-i, --identity <file>", "a key that an encrypted image is opened with; may be given again", collect)
    .option("--unsigned", "convert an image that no trusted key has signed")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
The signature and all digests are checked first, and the converted image is signed with the key of this machine. The
image stays as it was until the converted one is whole. It is still the same image: once it has been thawed, no copy of
it in whatever format is thawed without --again. What was encrypted stays encrypted to the same keys.

kmonte thaw takes images of older formats as they are; this is for those that are kept for long.

Example:
  kmonte convert IMAGE`,
    )
    .action((directory: string, { output, identity, unsigned, json }: Options) => {
      const identities = openKeys(identity);
      const done = convertImage({ directory, output, unsigned, identities });
      const { from, to } = done;
      printOutcome<"convert">(
        json,
        { directory: done.directory, from, to },
        from === to
          ? `${directory} is of format ${to} already.`
          : `Converted from format ${from} to ${to}: ${done.directory}.`,
      );
    });
}
