/** What a socket of the Internet may have that an ordinary user has made (ip(7), socket(7)). */
import { readFileSync } from "../../sys/files.ts";
import type { Options } from "./options.ts";

/** SO_PRIORITY above this needs CAP_NET_ADMIN. */
const MOST_PRIORITY = 6;

/** Reasons why it is not for users. */
export function* asAnyUser(port = 0, options: Options = {}): Generator<string> {
  if (port > 0 && port < firstFreePort()) yield `It uses the port ${port}, which is root's to give.`;
  const marked = Object.keys(options).find((name) => /MARK|TRANSPARENT/.test(name) && options[name] !== 0);
  if (marked !== undefined) yield `It has a socket with ${marked}.`;
  if (Number(options["SO_PRIORITY"] ?? 0) > MOST_PRIORITY) yield "It has a socket with a priority.";
}

function firstFreePort(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  } catch {
    return 1024;
  }
}
