/** Telling systemd that the boot can go on: sd_notify(3). */
import { closeSync } from "node:fs";
import { call } from "../sys/call.ts";
import { send } from "../sys/message.ts";
import { unixAddress } from "../abi/sockaddr.ts";
import { AF, SOCK, SOCK_CLOEXEC } from "../abi/socket.ts";

/** Without effect for a process that systemd has not started. */
export function notifyReady(): void {
  const address = process.env["NOTIFY_SOCKET"];
  if (address === undefined || address === "") return;
  const fd = call("socket", "Making a socket", AF.AF_UNIX, SOCK.SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    send(fd, Buffer.from("READY=1"), [], unixAddress(address), "Telling systemd that the boot can go on");
  } finally {
    closeSync(fd);
  }
}
