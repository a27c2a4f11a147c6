/**
 * Gives the test file that imports it, and whom it starts, a mount namespace with a devpts of its own: a thaw makes a
 * pseudo-terminal with the number that it had, which a test beside it may have taken meanwhile.
 */
import { CLONE } from "../src/abi/clone.ts";
import { MS } from "../src/abi/mount.ts";
import { call } from "../src/sys/call.ts";
import { mount } from "../src/sys/mount.ts";

// Of this thread alone (unshare(2)); threads and processes that it starts inherit it.
call("unshare", "Unsharing the mount namespace", CLONE.NEWNS);
mount("none", "/", "", MS.REC | MS.SLAVE, "");
mount("devpts", "/dev/pts", "devpts", 0, "newinstance,mode=620,ptmxmode=666");
