# Lets services that serve their own machine alone serve others too, and keep connections that say nothing for long.
# settings.sh PHP POSTGRESQL TOMCAT: as lab/stock-services.ts has them.
set -e
php=$1 postgresql=$2 tomcat=$3
sed -i 's/^bind .*/bind * -::*/; s/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf
sed -i 's/^bind-address .*/bind-address = 0.0.0.0/' /etc/mysql/mariadb.conf.d/50-server.cnf
sed -i 's/^-l .*/-l 0.0.0.0/' /etc/memcached.conf
echo "listen_addresses = '*'" >>/etc/postgresql/$postgresql/main/conf.d/lab.conf
echo 'host all all 10.77.0.0/24 trust' >>/etc/postgresql/$postgresql/main/pg_hba.conf
printf 'listener 1883 0.0.0.0\nallow_anonymous true\n' >/etc/mosquitto/conf.d/lab.conf
printf 'ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379\nETCD_ADVERTISE_CLIENT_URLS=http://10.77.0.2:2379\n' >>/etc/default/etcd
printf 'http_access allow localnet\nclient_idle_pconn_timeout 10 minutes\n' >/etc/squid/conf.d/lab.conf
sed -i 's/^KeepAliveTimeout .*/KeepAliveTimeout 600/' /etc/apache2/apache2.conf
sed -i 's/timeout client .*/timeout client 600s/' /etc/haproxy/haproxy.cfg
sed -i 's/port="8081"/port="8081" keepAliveTimeout="600000"/' /etc/$tomcat/server.xml
cat >/etc/nginx/sites-available/default <<SITE
server {
  listen 80 default_server;
  keepalive_timeout 600;
  root /var/www/html;
  index index.nginx-debian.html;
  location ~ \.php\$ { include snippets/fastcgi-php.conf; fastcgi_pass unix:/run/php/$php.sock; }
}
SITE
echo '<?php session_start(); $_SESSION["n"] = ($_SESSION["n"] ?? 0) + 1; echo "n=" . $_SESSION["n"];' >/var/www/html/n.php
echo '* * * * * root date +\%s >>/var/log/lab-cron' >/etc/cron.d/lab
systemctl restart mariadb redis-server memcached postgresql@$postgresql-main mosquitto etcd apache2 haproxy $tomcat nginx
systemctl reload squid
varnishadm param.set timeout_idle 600 >/dev/null
runuser -u postgres -- psql -qc "create role lab login superuser" -c "create table t (i int)"
mariadb -e "create user lab@'10.77.0.1'; grant all on *.* to lab@'10.77.0.1'; create database lab; create table lab.t (i int)"
rabbitmqctl -q add_user lab lab
rabbitmqctl -q set_permissions lab '.*' '.*' '.*'
chronyc -n add server 10.77.0.1 >/dev/null
