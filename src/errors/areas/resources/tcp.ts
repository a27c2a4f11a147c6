/** TCP connections. */
import { refused, refusedForNow, type Texts, type OfFile } from "../../entry.ts";
import { ofSocket } from "./phrases.ts";

export const tcp = {
  TCP_AO: refused(({ file }: OfFile) =>
    ofSocket(
      file,
      "a TCP socket that authenticates its segments (TCP-AO)",
      "its keys live in the kernel and count the segments that they have signed.",
    ),
  ),
  TCP_STATE: refusedForNow(({ file, state }: OfFile & Texts<"state">) =>
    ofSocket(file, "a TCP connection that is only being made", `it is in state ${state}.`, "Try again in a moment."),
  ),
  TCP_RESTLESS: refusedForNow(({ file }: OfFile) =>
    ofSocket(file, "a TCP connection that does not come to rest", "its queues changed with every look.", "Try again."),
  ),
  TCP_PENDING_DATA: refusedForNow(({ file, remote }: OfFile & Texts<"remote">) =>
    ofSocket(
      file,
      `sent data to ${remote}, which has not accepted the connection yet`,
      "nobody can read data that stands behind a backlog.",
      "Try again when the server has accepted the connection.",
    ),
  ),
  TCP_PENDING_CONNECTIONS: {
    ofClient: refusedForNow(({ file, remote }: OfFile & Texts<"remote">) =>
      ofSocket(
        file,
        `a connection to ${remote} that nobody has accepted yet`,
        "several sockets listen there (SO_REUSEPORT), and which of them has it cannot be told.",
        "Try again when the server has accepted the connection.",
      ),
    ),
    ofServer: refusedForNow(({ file, local, count }: OfFile & Texts<"local"> & { readonly count: number }) =>
      ofSocket(
        file,
        `connections to ${local} that it has not accepted yet`,
        `${count} wait in the backlog, out of reach, and their clients are not frozen with it.`,
        "Try again when the program has accepted them, or give --close-external: their clients are then told that they are closed.",
      ),
    ),
  },
  TCP_URGENT: refusedForNow(({ file }: OfFile) =>
    ofSocket(
      file,
      "a TCP connection with bytes behind an urgent one",
      "this kernel has no way to look past the urgent mark without reading.",
      "Try again when the program has read them.",
    ),
  ),
  TCP_ULP: refused(({ file, layer }: OfFile & Texts<"layer">) =>
    ofSocket(file, `a TCP socket with the upper layer ${layer}`, "its keys live in the kernel and cannot be read."),
  ),
  TCP_REPAIR: refused(({ file }: OfFile) =>
    ofSocket(
      file,
      "a TCP socket in repair mode",
      "somebody is working on its inner state (TCP_REPAIR).",
      "Try again when that has ended.",
    ),
  ),
};
