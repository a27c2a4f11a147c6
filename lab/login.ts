/** The person who logs in to the guest from outside: a key that lets in, and how ssh(1) is called. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../scripts/packages.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { runTool } from "./tool.ts";

export class Login implements Disposable {
  readonly keyFile: string;
  readonly publicKey: string;
  readonly #directory: Disposable;

  private constructor(directory: Disposable, keyFile: string) {
    this.#directory = directory;
    this.keyFile = keyFile;
    this.publicKey = readFileSync(`${keyFile}.pub`, "utf8");
  }

  /** Makes a key; it is gone at the end of the scope. */
  static async make(): Promise<Login> {
    ensurePackages(["openssh-client"]);
    using stack = new DisposableStack();
    const directory = stack.use(temporaryDirectory("kmonte-login-"));
    const keyFile = join(directory.path, "key");
    await runTool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", keyFile]);
    stack.move();
    return new Login(directory, keyFile);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}
