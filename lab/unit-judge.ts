/** Judges from the evidence whether a server came through the swap as if nothing had happened. Pure. */
import { judgeProcesses, type Check } from "./judge.ts";
import { PROPERTIES, type SeenUnit, type ServerEvidence } from "./unit-evidence.ts";

export function judgeServer(before: ServerEvidence, after: ServerEvidence, to: string): Check[] {
  return [
    kernel(before, after, to),
    { name: "system", ok: after.state === before.state, detail: `systemctl is-system-running: ${after.state}` },
    ...before.units.map((unit, i) => sameUnit(unit, after.units[i])),
    judgeProcesses(before.processes, after.processes),
    sessions(before, after),
    redisData(before, after),
    journal(after),
  ];
}

function kernel(before: ServerEvidence, after: ServerEvidence, to: string): Check {
  const ok = after.release === to || after.release.startsWith(`${to}.`);
  return { name: "kernel", ok, detail: `${before.release} → ${after.release}` };
}

function sameUnit({ name, properties, pids }: SeenUnit, after: SeenUnit | undefined): Check {
  const is = (property: string): string => after?.properties.get(property) ?? "nothing";
  const main = Number(properties.get("MainPID"));
  const changed = PROPERTIES.filter((property) => properties.get(property) !== is(property));
  const away = main !== 0 && !after?.pids.includes(main) ? [`${main} is not in its control group`] : [];
  const state = `${is("ActiveState")} (${is("SubState")})`;
  const wrong = [
    ...changed.map((property) => `${property} ${properties.get(property)} → ${is(property)}`),
    ...away,
    ...(state === "active (running)" ? [] : [state]),
  ];
  const detail = `${state}, main process ${main}, ${pids.length === 1 ? "1 process" : `${pids.length} processes`}`;
  return { name, ok: wrong.length === 0, detail: wrong.length === 0 ? detail : wrong.join(", ") };
}

function sessions(before: ServerEvidence, after: ServerEvidence): Check {
  const ok = before.sessions.length > 0 && before.sessions.every((name) => after.sessions.includes(name));
  return { name: "sessions", ok, detail: `${before.sessions.join(", ")} → ${after.sessions.join(", ") || "none"}` };
}

function redisData(before: ServerEvidence, after: ServerEvidence): Check {
  const [keys, digest = ""] = after.redis.split(" ");
  const ok = before.redis === after.redis && digest.length === 40;
  const detail = ok
    ? `${keys} keys, sha1 ${digest.slice(0, 16)}… before and after`
    : `${before.redis} → ${after.redis}`;
  return { name: "redis data", ok, detail };
}

function journal({ damagedJournal }: ServerEvidence): Check {
  return { name: "journal", ok: damagedJournal === "", detail: damagedJournal || "no file of it was left open" };
}
