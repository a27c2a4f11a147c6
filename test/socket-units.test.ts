/** What is read of systemctl's output about socket units, and which of them a boot would not have again. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { forgottenBy, parseSocketUnits } from "../src/resources/socket/activation/socket-units.ts";

/** As systemctl show of systemd 252 wrote it, but for the third address. */
const SHOWN = `Accept=no
Listen=/run/rpcbind.sock (Stream)
Listen=[::]:111 (Datagram)
Listen=[fe80::1]:111%eth0 (Stream)
FreeBind=no
Triggers=rpcbind.service
Id=rpcbind.socket
After=-.mount system.slice sysinit.target
LoadState=loaded
ActiveState=active
FragmentPath=/lib/systemd/system/rpcbind.socket
NeedDaemonReload=no

Accept=yes
Listen=[::]:22 (Stream)
FreeBind=yes
Triggers=
Id=sshd.socket
After=
LoadState=masked
ActiveState=inactive
FragmentPath=/run/systemd/transient/sshd.socket
NeedDaemonReload=yes
`;

describe("socket units, as systemctl shows them", () => {
  const [rpcbind, sshd] = parseSocketUnits(SHOWN);
  assert.ok(rpcbind && sshd);

  test("all addresses of a unit are read, each without its interface", () => {
    assert.deepEqual(rpcbind.listens, [
      { address: "/run/rpcbind.sock", kind: "Stream" },
      { address: "[::]:111", kind: "Datagram" },
      { address: "[fe80::1]:111", kind: "Stream" },
    ]);
    assert.deepEqual([rpcbind.name, rpcbind.service, rpcbind.active], ["rpcbind.socket", "rpcbind.service", true]);
    assert.deepEqual([sshd.accept, sshd.service, sshd.active, sshd.outdated], [true, "", false, true]);
  });

  test("what a boot would not have again is named", () => {
    for (const address of ["/run/rpcbind.sock", "@rpcbind", "[::]:111", "0.0.0.0:111", "127.0.0.1:111", "[::1]:111"])
      assert.equal(forgottenBy(rpcbind, address), undefined, address);
    for (const address of ["[fe80::1]:111", "10.0.0.1:111"]) {
      assert.match(forgottenBy(rpcbind, address)?.why ?? "", /does not wait for the network/);
      assert.equal(forgottenBy({ ...rpcbind, freeBind: true }, address), undefined);
      assert.equal(forgottenBy({ ...rpcbind, after: ["network-online.target"] }, address), undefined);
    }
    assert.match(forgottenBy(sshd, "[::]:22")?.why ?? "", /this boot alone/);
    assert.match(forgottenBy({ ...sshd, path: "/etc/systemd/system/sshd.socket" }, "[::]:22")?.why ?? "", /masked/);
    assert.match(forgottenBy({ ...rpcbind, outdated: true }, "[::]:111")?.why ?? "", /has changed/);
  });
});
