/** ip(8) and nft(8), run in the network namespace that this thread is in: a child inherits it. */
import { spawnSync } from "node:child_process";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { existsSync } from "../../sys/files.ts";
import { failures } from "../../errors/catalogue.ts";

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
  throw failures.NETWORK_TOOL({ tool, args: args.join(" "), said: (error?.message ?? stderr).trim(), cause: error });
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
