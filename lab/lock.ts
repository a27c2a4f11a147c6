/** One at a time, among all programs of the machine: flock(2) on a file. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { atEnd } from "./lifetime.ts";

/** Says so when it has the lock, and has it for as long as its standard input is open. */
const HOLD = "echo locked; exec cat";

/**
 * Waits until nobody else holds the lock on that file, and holds it to the end of the scope. It goes when this program
 * ends, however it ends: flock(1) holds it, and reads from a pipe that ends with us. Rejects when flock(1) fails.
 */
export async function lock(path: string): Promise<Disposable> {
  mkdirSync(dirname(path), { recursive: true });
  const holder = spawn("flock", ["--no-fork", path, "sh", "-c", HOLD], { stdio: ["pipe", "pipe", "inherit"] });
  using stack = new DisposableStack();
  stack.use(atEnd(() => holder.kill()));
  const over = once(holder, "close").then(([status]) => {
    throw new Error(`flock ${path} ended with ${status}`);
  });
  over.catch(() => {});
  await Promise.race([once(holder.stdout, "data"), over]);
  return stack.move();
}
