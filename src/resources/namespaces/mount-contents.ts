/** What stands in a file system that lives in memory, as one archive of tar(1). */
import { spawnSync } from "node:child_process";
import { KmonteError } from "../../lib/errors.ts";

const LARGEST = 2 ** 31 - 1;

function tar(args: readonly string[], input?: Buffer): Buffer {
  const { status, stdout, stderr, error } = spawnSync("tar", args, { input, maxBuffer: LARGEST, cwd: "/" });
  // 1: a socket, which tar does not take (whoever has bound it brings it back).
  if (status === 0 || (status === 1 && input === undefined)) return stdout;
  throw new KmonteError(
    "MOUNT_CONTENTS",
    {
      what: "The contents of a file system in memory cannot be carried.",
      why: `tar said: ${(error?.message ?? String(stderr)).trim()}`,
    },
    error === undefined ? {} : { cause: error },
  );
}

export function packTree(folder: string): Buffer {
  return tar([...COMMON, "--create", "--format=posix", "--sparse", "--one-file-system", "-C", folder, "--file=-", "."]);
}

export function unpackTree(archive: Buffer, folder: string): void {
  tar([...COMMON, "--extract", "--preserve-permissions", "--same-owner", "-C", folder, "--file=-"], archive);
}

const COMMON = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--warning=no-file-ignored"];
