/** Services as Debian ships them, all on one machine: what an administrator's units are like. */
import type { DebianRelease } from "./bootstrap.ts";
import type { DiskContents } from "./namespace-disk.ts";

/** The units that are looked at, by the packages that bring them, where all releases have the same. */
const SERVICES: Readonly<Record<string, string>> = {
  apache2: "apache2",
  bind9: "named",
  chrony: "chrony",
  cron: "cron",
  "etcd-server": "etcd",
  haproxy: "haproxy",
  "mariadb-server": "mariadb",
  memcached: "memcached",
  mosquitto: "mosquitto",
  nginx: "nginx",
  "openssh-server": "ssh",
  "prometheus-node-exporter": "prometheus-node-exporter",
  "rabbitmq-server": "rabbitmq-server",
  "redis-server": "redis-server",
  rpcbind: "rpcbind",
  rsyslog: "rsyslog",
  squid: "squid",
  varnish: "varnish",
};

/** Those that a package brings besides its first one. */
const FURTHER = ["epmd", "varnishncsa"];

/** In what the releases differ. */
interface Differences {
  readonly php: string;
  readonly postfix: string;
  /** Its version. */
  readonly postgresql: string;
  readonly tomcat: string;
  /** The socket units that give a service its sockets, with how many each has. */
  readonly sockets: Readonly<Record<string, number>>;
}

const SOCKETS = { "epmd.socket": 1, "rpcbind.socket": 5, "syslog.socket": 1 };

const DIFFERENCES: Readonly<Record<DebianRelease, Differences>> = {
  "12": {
    php: "php8.2-fpm",
    postfix: "postfix@-",
    postgresql: "15",
    tomcat: "tomcat10",
    sockets: { ...SOCKETS, "mariadb.socket": 3 },
  },
  // mariadb.socket is there, and not enabled.
  "13": { php: "php8.4-fpm", postfix: "postfix", postgresql: "17", tomcat: "tomcat11", sockets: SOCKETS },
};

const HAPROXY = `global
  chroot /var/lib/haproxy
  stats socket /run/haproxy/admin.sock mode 660 level admin
  user haproxy
  group haproxy
  daemon
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend web
  bind :8082
  default_backend nginx
backend nginx
  server one 127.0.0.1:80
`;

const TOMCAT = `<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="8081" protocol="HTTP/1.1"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps"/>
    </Engine>
  </Service>
</Server>
`;

export interface StockServices extends Differences {
  readonly machine: DiskContents;
  readonly units: readonly string[];
}

/** All as they are shipped, but for the ports: nginx 80, varnish 6081, squid 3128 as usual; apache2 8080, tomcat 8081, haproxy 8082. */
export function stockServices(debian: DebianRelease): StockServices {
  const own = DIFFERENCES[debian];
  const services: Readonly<Record<string, string>> = {
    ...SERVICES,
    "php-fpm": own.php,
    postfix: own.postfix,
    postgresql: `postgresql@${own.postgresql}-main`,
    [own.tomcat]: own.tomcat,
  };
  const units = [...Object.values(services), ...FURTHER].map((name) => `${name}.service`).sort();
  const files = {
    "/etc/apache2/ports.conf": "Listen 8080\n",
    "/etc/haproxy/haproxy.cfg": HAPROXY,
    [`/etc/${own.tomcat}/server.xml`]: TOMCAT,
    "/etc/systemd/system/multi-user.target.d/lab.conf": "[Unit]\nWants=varnishncsa.service\n",
  };
  return { ...own, units, machine: { debian, packages: Object.keys(services).sort(), files } };
}
