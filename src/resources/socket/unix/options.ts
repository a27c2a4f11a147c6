/** Socket options of a unix socket (socket(7), unix(7)). */
import { closeSync } from "node:fs";
import { call } from "../../../sys/call.ts";
import { AF, SOCK_CLOEXEC } from "../../../abi/socket.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { SOCKET_OPTIONS } from "../option-tables.ts";
import { freezeOptions, type Options } from "../options.ts";

/** `type` is that of socket(2), without flags. */
export function unixOptions(fd: LocalFd, type: number): Options {
  return freezeOptions(fd, [SOCKET_OPTIONS], `unix:${type}`, () => newUnixSocket(type), closeSync);
}

function newUnixSocket(type: number): LocalFd {
  return call("socket", "Making a socket", AF.AF_UNIX, type | SOCK_CLOEXEC, 0) as LocalFd;
}
