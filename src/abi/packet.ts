/** IP packets put together by hand (RFC 791, RFC 8200, RFC 9293), for what only a packet can do to a socket. */
import { AF } from "./socket.ts";

export const TCP_FLAG = { FIN: 1, RST: 4, ACK: 16, URG: 32 } as const;
export const IPV6_HDRINCL = 36;

/** Destination unreachable, and for what reason: RFC 792 (host), RFC 4443 (no route). */
export const UNREACHABLE = { [AF.AF_INET]: { type: 3, code: 1 }, [AF.AF_INET6]: { type: 1, code: 0 } } as const;
