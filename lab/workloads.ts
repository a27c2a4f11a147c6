/** The programs that live through the demonstration, started in the guest as plain processes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./machine.ts";

const PROGRAMS = "/usr/local/lib/lab/workloads";
/** What serves clients outside of the guest. */
export const PORTS = { redis: 6379, http: 80, https: 443 } as const;
const REDIS_PORT = String(PORTS.redis);

/** Where the workloads keep their files in the guest: on its disk, as /run and /tmp do not outlive a boot. */
export const DATA = "/var/lib/lab";

export interface Workloads {
  /** The processes named to kmonte, by what they are. */
  readonly pids: Readonly<Record<"redis" | "counter" | "ticker" | "pipeline" | "zombie" | "nginx", number>>;
  /** A large file that the web server has. */
  readonly download: { readonly path: string; readonly sha256: string };
  /** The web server's certificate. */
  readonly certificate: string;
}

export interface WorkloadOptions {
  /** How much data redis holds. */
  readonly mebibytes: number;
  readonly onStep?: (step: string) => void;
}

const LARGE_MEBIBYTES = 32;

const NGINX = `daemon off;
worker_processes 1;
pid ${DATA}/nginx/pid;
events { worker_connections 64; }
http {
  access_log off;
  error_log stderr;
  keepalive_timeout 600s;
  keepalive_requests 1000000;
  send_timeout 600s;
  root ${DATA}/nginx/files;
  server {
    listen ${PORTS.http};
    listen [::]:${PORTS.https} ssl;
    server_name lab;
    ssl_certificate ${DATA}/nginx/certificate.pem;
    ssl_certificate_key ${DATA}/nginx/key.pem;
  }
}
`;

/** Noise that nobody can guess, so that the checksum says something; a key and a certificate of its own. */
const NGINX_FILES = `set -e
cd ${DATA}/nginx
mkdir files
head -c ${LARGE_MEBIBYTES}M /dev/urandom >files/large
echo 'hello across kernels' >files/hello
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
  -subj /CN=lab -addext subjectAltName=DNS:lab -keyout key.pem -out certificate.pem 2>/dev/null`;

export async function startWorkloads(machine: Machine, options: WorkloadOptions): Promise<Workloads> {
  const step = options.onStep ?? (() => {});
  const programs = join(import.meta.dirname, "workloads");
  for (const name of readdirSync(programs)) {
    await machine.put(`${PROGRAMS}/${name}`, readFileSync(join(programs, name)), 0o755);
  }
  await machine.output(["mkdir", "-p", `${DATA}/redis`, `${DATA}/ticker`]);
  const start = (name: string, ...argv: string[]) => machine.start(argv, `${DATA}/${name}.log`);
  const python = (program: string) => ["/usr/bin/python3", "-B", `${PROGRAMS}/${program}`];

  step(`redis-server, ${options.mebibytes} MiB`);
  const settings = ["--port", REDIS_PORT, "--protected-mode", "no", "--save", "", "--dir", `${DATA}/redis`];
  const redis = await start("redis", "redis-server", ...settings);
  await machine.output(["sh", "-c", `until redis-cli -p ${REDIS_PORT} ping; do sleep 0.2; done`]);
  await machine.output([...python("redis_load.py"), REDIS_PORT, String(options.mebibytes)]);

  step("nginx");
  await machine.put(`${DATA}/nginx/nginx.conf`, NGINX);
  await machine.output(["sh", "-c", NGINX_FILES]);
  const nginx = await start("nginx", "nginx", "-c", `${DATA}/nginx/nginx.conf`, "-e", "stderr");
  await machine.output(["sh", "-c", `until ss -Hltn sport = :${PORTS.https} | grep -q .; do sleep 0.2; done`]);
  const sum = await machine.output(["sha256sum", `${DATA}/nginx/files/large`]);

  step("counter, threads, pipeline, zombie");
  const pids = {
    redis,
    nginx,
    counter: await start("counter", ...python("counter.py"), REDIS_PORT, `${DATA}/replies`),
    // Its hashing never pauses: niceness leaves the emulated processor to those who have something to do.
    ticker: await start("ticker", "nice", "-n", "10", ...python("ticker.py"), `${DATA}/ticker`),
    pipeline: await start("pipeline", `${PROGRAMS}/pipeline.sh`, `${DATA}/numbers`),
    zombie: await start("zombie", `${PROGRAMS}/zombie.sh`),
  };
  // Each must have something to lose.
  const records = ["replies", "ticker/lines", "ticker/hashes", "numbers"].map((name) => `-s ${DATA}/${name}`);
  await machine.output(["sh", "-c", `until [ ${records.join(" -a ")} ]; do sleep 0.2; done`]);
  const certificate = (await machine.get(`${DATA}/nginx/certificate.pem`)).toString();
  return { pids, certificate, download: { path: "/large", sha256: sum.split(" ")[0] ?? "" } };
}

/** Commands that look at the workloads from outside. */
export const LOOK = {
  processes: (pids: readonly number[]) => ["python3", "-B", `${PROGRAMS}/look.py`, ...pids.map(String)],
  redisDigest: ["python3", "-B", `${PROGRAMS}/redis_digest.py`, REDIS_PORT],
  redisCounter: ["redis-cli", "-p", REDIS_PORT, "-n", "1", "get", "counter"],
} as const;
