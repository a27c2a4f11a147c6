/** The service for ordinary users. */
import { failed, refused, type Texts } from "../entry.ts";

export const daemon = {
  SERVICE_CLOSED_CONNECTION: failed(({ path, why }: Texts<"path" | "why">) => ({
    what: `The service at ${path} did not answer.`,
    why,
    remedy: "Try again, or look at journalctl -u kmonte.",
    facts: { path },
  })),
  REQUEST_FORBIDDEN: refused(({ why }: Texts<"why">) => ({
    what: "The service for ordinary users does not take requests from this process.",
    why,
    remedy: "Ask from a shell of the user's own, outside of containers and sandboxes.",
  })),
  BAD_REQUEST: failed(({ why }: Texts<"why">) => ({
    what: "The service did not understand the request.",
    why,
    remedy: "Use the kmonte that belongs to the service.",
  })),
  SERVICE_BUSY: refused(({ why }: Texts<"why">) => ({
    what: "The service for ordinary users has too much to do; nothing was touched.",
    why,
    remedy: "Try again in a moment; if it stays so, ask root to look at journalctl -u kmonte.",
  })),
};
