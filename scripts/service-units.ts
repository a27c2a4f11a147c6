/**
 * Writes the units of the service for ordinary users, as the Debian package has them, for debhelper to install:
 * `node scripts/service-units.ts PREFIX` writes PREFIX.kmonte.socket and PREFIX.kmonte.service.
 */
import { writeFileSync } from "node:fs";
import { SERVICE_UNIT, serviceText, SOCKET_TEXT, SOCKET_UNIT } from "../src/daemon/units.ts";

const [prefix] = process.argv.slice(2);
if (prefix === undefined) throw new Error("usage: node scripts/service-units.ts PREFIX");
writeFileSync(`${prefix}.${SOCKET_UNIT}`, SOCKET_TEXT);
writeFileSync(`${prefix}.${SERVICE_UNIT}`, serviceText("/usr/bin/kmonte", "/etc/kmonte"));
