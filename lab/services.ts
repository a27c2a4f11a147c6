/** What the server serves: units as Debian ships them, with the settings that an administrator gives them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./machine.ts";
import { DATA, PORTS, PROGRAMS } from "./places.ts";

const REDIS_PORT = String(PORTS.redis);

/** The user who logs in from outside. */
export const PERSON = "ada";

export interface Services {
  /** A large file that the web server has. */
  readonly download: { readonly path: string; readonly sha256: string };
  /** The web server's certificate. */
  readonly certificate: string;
}

export interface ServiceOptions {
  /** How much data redis holds. */
  readonly mebibytes: number;
  /** The public key that lets the person in. */
  readonly publicKey: string;
  readonly onStep?: (step: string) => void;
}

const LARGE_MEBIBYTES = 64;

/** redis serves its own machine alone until it is told otherwise. */
const OPEN_REDIS = `set -e
sed -i 's/^bind .*/bind * -::*/; s/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf
systemctl restart redis-server
until redis-cli -p ${REDIS_PORT} ping; do sleep 0.2; done`;

/** Written to disk once, so that redis does not do so of its own accord a minute later. */
const SAVE_REDIS = `redis-cli -p ${REDIS_PORT} save`;

const SITE = `server {
  listen ${PORTS.http};
  listen [::]:${PORTS.https} ssl;
  server_name lab;
  root /srv/lab;
  ssl_certificate /etc/nginx/lab.pem;
  ssl_certificate_key /etc/nginx/lab.key;
  # A client that fetches slowly, and one that asks on for as long as it is let.
  send_timeout 600s;
  keepalive_timeout 600s;
  keepalive_requests 1000000;
}
`;

/** Noise that nobody can guess, so that the checksum says something; a key and a certificate of its own. */
const OPEN_NGINX = `set -e
mkdir -p /srv/lab
head -c ${LARGE_MEBIBYTES}M /dev/urandom >/srv/lab/large
echo 'hello across kernels' >/srv/lab/hello
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
  -subj /CN=lab -addext subjectAltName=DNS:lab -keyout /etc/nginx/lab.key -out /etc/nginx/lab.pem 2>/dev/null
rm -f /etc/nginx/sites-enabled/default
systemctl restart nginx
until ss -Hltn sport = :${PORTS.https} | grep -q .; do sleep 0.2; done`;

const ADMIT = `set -e
useradd --create-home --shell /bin/bash ${PERSON}
install -d -o ${PERSON} -g ${PERSON} -m 700 /home/${PERSON}/.ssh
install -o ${PERSON} -g ${PERSON} -m 600 /run/lab-key /home/${PERSON}/.ssh/authorized_keys
rm /run/lab-key`;

/** Sets the services up, once the boot has started them. */
export async function openServices(machine: Machine, options: ServiceOptions): Promise<Services> {
  const step = options.onStep ?? (() => {});
  const shell = (script: string): Promise<string> => machine.output(["sh", "-c", script]);
  await putPrograms(machine);
  step("the boot comes to its end");
  await shell("systemctl is-system-running --wait");
  step(`redis-server, ${options.mebibytes} MiB`);
  await shell(OPEN_REDIS);
  await machine.output(["python3", "-B", `${PROGRAMS}/redis_load.py`, REDIS_PORT, String(options.mebibytes)]);
  await shell(SAVE_REDIS);
  step("nginx");
  await machine.put("/etc/nginx/sites-enabled/lab", SITE);
  await shell(OPEN_NGINX);
  const sum = await machine.output(["sha256sum", "/srv/lab/large"]);
  step("ssh");
  await machine.put("/run/lab-key", options.publicKey);
  await shell(ADMIT);
  const certificate = (await machine.get("/etc/nginx/lab.pem")).toString();
  return { certificate, download: { path: "/large", sha256: sum.split(" ")[0] ?? "" } };
}

/** Commands that look at redis from inside. */
export const LOOK_AT_REDIS = {
  digest: ["python3", "-B", `${PROGRAMS}/redis_digest.py`, REDIS_PORT],
  counter: ["redis-cli", "-p", REDIS_PORT, "-n", "1", "get", "counter"],
} as const;

async function putPrograms(machine: Machine): Promise<void> {
  const programs = join(import.meta.dirname, "workloads");
  for (const name of readdirSync(programs))
    await machine.put(`${PROGRAMS}/${name}`, readFileSync(join(programs, name)), 0o755);
  await machine.output(["mkdir", "-p", DATA]);
}
