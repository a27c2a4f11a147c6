/** Unix sockets. */
import { refused, refusedForNow, refusedLate, type Texts, type OfFile } from "../../entry.ts";
import { ofSocket } from "./phrases.ts";

export const unix = {
  JOURNAL_MISSING: refused(({ path, errno }: Texts<"path" | "errno">) => ({
    what: "Processes write into the journal, and it is not there.",
    why: `connect(2) to ${path} failed with ${errno}.`,
    remedy: "Start it (systemctl start systemd-journald.socket systemd-journald.service), and thaw again.",
    facts: { path },
  })),
  SOCKET_MISPLACED: refusedLate(({ path, there }: Texts<"path" | "there">) => ({
    what: `A socket cannot get its name ${path} back.`,
    why: `The folders on the way to it are others than at the freeze: it would stand at ${there}.`,
    remedy: "Put the folders back as they were.",
    facts: { path },
  })),
  SOCKET_NAME_TAKEN: refusedLate(({ path }: Texts<"path">) => ({
    what: `A socket cannot get its name ${path} back.`,
    why: "Something that is not a socket stands there.",
    remedy: "Move it away.",
    facts: { path },
  })),

  SOCKET_OWN_NAME: refused(({ file, name, place }: OfFile & Texts<"name" | "place">) =>
    ofSocket(
      file,
      "a unix socket with a name that only it understands",
      `${name} leads ${place}, and not by a descriptor or the working directory of a process.`,
    ),
  ),
  UNIX_PENDING_DATA: {
    backlog: refusedForNow(({ file }: OfFile) =>
      ofSocket(
        file,
        "sent data to a connection that is not accepted yet",
        "nobody can read data that stands behind a backlog.",
        "Try again when the server has accepted the connection.",
      ),
    ),
    journal: refusedForNow(({ file, path }: OfFile & Texts<"path">) =>
      ofSocket(
        file,
        "written lines that the journal has not read yet",
        `${path} leads to a journal that reads slowly, or not at all.`,
        "Try again when the journal has read them (systemctl status systemd-journald).",
      ),
    ),
  },
  SOCKET_URGENT_DATA: refused(({ file }: OfFile) =>
    ofSocket(file, "a unix socket with urgent data (MSG_OOB)", "the byte out of band is not read yet."),
  ),
  UNIX_SENDER_GONE: refusedForNow(({ file }: OfFile) =>
    ofSocket(
      file,
      "a message that tells who sent it (SO_PASSCRED)",
      "its sender has ended, and the number that it had in this pid namespace cannot be found.",
      "Try again when the program has read it.",
    ),
  ),
};
