/** Ends a load with everything below it. */
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

function parents(): Map<number, number> {
  const found = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      found.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

export async function endTree(root: number): Promise<void> {
  const all = parents();
  const below = new Set([root]);
  for (let before = 0; before !== below.size;) {
    before = below.size;
    for (const [pid, parent] of all) if (below.has(parent)) below.add(pid);
  }
  for (const pid of below) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
  for (let i = 0; i < 500 && [...below].some((pid) => parents().has(pid)); i += 1) await sleep(10);
}
