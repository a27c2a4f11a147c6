/** Units of services of our own, with all that systemd.exec(5) can put around one. */

const PYTHON = "ExecStart=/usr/bin/python3 -u /usr/local/lib/lab/service.py";
const SERVED = "PrivateTmp=yes\nLoadCredential=token:/etc/lab/token";

export interface SandboxedUnit {
  readonly name: string;
  /** Where it is asked; undefined for a unit in a network of its own. */
  readonly port?: number;
  readonly text: string;
}

function unit(name: string, port: number | undefined, service: string, before = ""): SandboxedUnit {
  const environment = port === undefined ? "" : `Environment=PORT=${port}\n`;
  const text = `[Unit]\n${before}\n[Service]\n${environment}${service}\n\n[Install]\nWantedBy=multi-user.target\n`;
  return { name: `${name}.service`, ...(port !== undefined && { port }), text };
}

/** `reloads`: whether systemd knows Type=notify-reload (253 and later). */
export function sandboxedUnits(reloads: boolean): SandboxedUnit[] {
  return [
    unit(
      "lab-dynamic",
      7001,
      `Type=${reloads ? "notify-reload" : "notify"}
WatchdogSec=15
Restart=on-failure
DynamicUser=yes
StateDirectory=lab-dynamic
RuntimeDirectory=lab-dynamic
CacheDirectory=lab-dynamic
${SERVED}
${PYTHON}${reloads ? "" : "\nExecReload=kill -HUP $MAINPID"}`,
    ),
    unit(
      "lab-strict",
      7002,
      `User=www-data
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
NoNewPrivileges=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_UNIX
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
SystemCallArchitectures=native
CapabilityBoundingSet=
StateDirectory=lab-strict
RuntimeDirectory=lab-strict
${SERVED}
${PYTHON}`,
    ),
    unit(
      "lab-users",
      7003,
      `Type=exec
User=daemon
PrivateUsers=yes
StateDirectory=lab-users
RuntimeDirectory=lab-users
${SERVED}
${PYTHON}`,
    ),
    unit(
      "lab-network",
      undefined,
      `Environment=PORT=7004
PrivateNetwork=yes
RuntimeDirectory=lab-network
${SERVED}
${PYTHON}`,
    ),
    unit(
      "lab-joins",
      undefined,
      `Environment=PEER=7004
DynamicUser=yes
PrivateNetwork=yes
RuntimeDirectory=lab-joins
${SERVED}
${PYTHON}`,
      "JoinsNamespaceOf=lab-network.service\nAfter=lab-network.service",
    ),
    unit(
      "lab-forks",
      7006,
      `Type=forking
PIDFile=/run/lab-forks/pid
RuntimeDirectory=lab-forks
Restart=always
ExecStart=/bin/sh -c 'setsid python3 -u /usr/local/lib/lab/service.py </dev/null & echo $$! >/run/lab-forks/pid'`,
    ),
    unit(
      "lab-node",
      7007,
      `DynamicUser=yes
PrivateUsers=yes
ProtectProc=invisible
SystemCallFilter=@system-service @pkey
StateDirectory=lab-node
Restart=always
${SERVED}
ExecStart=/usr/bin/node /usr/local/lib/lab/service.js`,
    ),
    unit("lab-bus", 7008, `Environment=BUS_NAME=org.lab.Bus\n${PYTHON}`),
  ];
}

/** systemd ends it when its name on the bus does. */
export const NAMED = unit(
  "lab-named",
  7009,
  `Type=dbus\nBusName=org.lab.Named\nEnvironment=BUS_NAME=org.lab.Named\n${PYTHON}`,
);

/** Who may own the name on the bus. */
export const BUS_POLICY = `<busconfig><policy user="root"><allow own_prefix="org.lab"/></policy></busconfig>\n`;

/** A unit that is not protected, starts before all others, and that systemd would like to give the id of lab-dynamic. */
export const RIVAL = `[Unit]
DefaultDependencies=no
After=kmonte-thaw.service local-fs.target
Before=lab-dynamic.service

[Service]
DynamicUser=yes
StateDirectory=lab-rival
ExecStart=/bin/sleep infinity

[Install]
WantedBy=sysinit.target
`;
