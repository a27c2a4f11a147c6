/** A server as Debian installs it: nothing is masked, and its settings are those of the installer. */
import { type GuestSettings, ROOT_LABEL } from "./guest-settings.ts";
import { GUEST_ADDRESS, GUEST_ADDRESS6 } from "./wire.ts";

/** interfaces(5); the name is that of the slot that the network device is in. */
const INTERFACES = `source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug ens2
iface ens2 inet static
  address ${GUEST_ADDRESS}/24
iface ens2 inet6 static
  address ${GUEST_ADDRESS6}/64
  dad-attempts 0
  accept_ra 0
`;

export const SERVER_SETTINGS: GuestSettings = {
  files: {
    "/etc/fstab": `LABEL=${ROOT_LABEL} / ext4 errors=remount-ro 0 1\n`,
    "/etc/network/interfaces": INTERFACES,
  },
  masked: { units: [], generators: [] },
};
