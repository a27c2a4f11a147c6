/** Services as Debian 12 ships them, all on one machine: what an administrator's units are like. */
import type { DiskContents } from "./namespace-disk.ts";

/** The units that are looked at, by the packages that bring them. */
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
  "php-fpm": "php8.2-fpm",
  postfix: "postfix@-",
  postgresql: "postgresql@15-main",
  "prometheus-node-exporter": "prometheus-node-exporter",
  "rabbitmq-server": "rabbitmq-server",
  "redis-server": "redis-server",
  rpcbind: "rpcbind",
  rsyslog: "rsyslog",
  squid: "squid",
  tomcat10: "tomcat10",
  varnish: "varnish",
};

/** Those that a package brings besides its first one. */
const FURTHER = ["epmd", "varnishncsa"];

export const STOCK_UNITS: readonly string[] = [...Object.values(SERVICES), ...FURTHER]
  .map((name) => `${name}.service`)
  .sort();

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

/** All as they are shipped, but for the ports: nginx 80, varnish 6081, squid 3128 as usual; apache2 8080, tomcat 8081, haproxy 8082. */
export const STOCK_MACHINE: DiskContents = {
  debian: "12",
  packages: Object.keys(SERVICES),
  files: {
    "/etc/apache2/ports.conf": "Listen 8080\n",
    "/etc/haproxy/haproxy.cfg": HAPROXY,
    "/etc/tomcat10/server.xml": TOMCAT,
    "/etc/systemd/system/multi-user.target.d/lab.conf": "[Unit]\nWants=varnishncsa.service\n",
  },
};
