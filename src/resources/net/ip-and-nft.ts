/** ip(8) and nft(8), run in the network namespace that this thread is in: a child inherits it. */
import { spawnSync } from "node:child_process";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { existsSync } from "../../sys/files.ts";
import { KmonteError } from "../../lib/errors.ts";

const FOLDERS = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

function pathOf(tool: string): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${tool}`).find((path) => existsSync(OWN_VIEW.at(path)));
}

function run(tool: string, args: readonly string[], input = ""): string {
  const { status, stdout, stderr, error } = spawnSync(pathOf(tool) ?? tool, args, {
    input,
    encoding: "utf8",
    cwd: "/",
  });
  if (status === 0) return stdout;
  throw new KmonteError(
    "NETWORK_TOOL",
    {
      what: `A network namespace cannot be read or set up.`,
      why: `\`${tool} ${args.join(" ")}\` said: ${(error?.message ?? stderr).trim()}`,
      remedy: `Install ${tool !== "nft" ? "iproute2" : "nftables"} if it is missing.`,
    },
    error === undefined ? {} : { cause: error },
  );
}

export function ip(args: readonly string[]): string {
  return run("ip", args);
}

/** A part of iproute2, as ip(8) is. */
export function tc(args: readonly string[]): string {
  return pathOf("tc") !== undefined ? run("tc", args) : "";
}

/** Another part of it. */
export function bridge(args: readonly string[]): string {
  return run("bridge", args);
}

/** Without nft there can be no rules of nftables, as a rule; a kernel without nftables answers as an empty one. */
export function nft(args: readonly string[], input?: string): string {
  if (input === undefined && pathOf("nft") === undefined) return "";
  return run("nft", args, input);
}

/** What a tool has printed, line by line. */
export function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}
