#!/bin/sh
# PID 1 of a machine made of namespaces, before it becomes systemd: mounts what each boot finds new, and leaves the
# host's files behind. lab/namespace-machine.ts starts it in new namespaces and says in the environment:
# ROOT (the mounted disk), GROUP (an empty control group of the host), HOLDER (a pid of the host, in whose network
# namespace the clients are), ADDRESS (of the network device), BOOT_ID, KMONTE (a checkout), and BEFORE_INIT (a shell
# script, or nothing). What it writes goes to the machine's console.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "${1-}" != joined ]; then
  # The root of a control group namespace is the group of whoever makes it.
  echo 0 >"$GROUP/cgroup.procs"
  exec unshare --cgroup "$0" joined
fi

# A kexec that nobody prepared leaves a disk that is still mounted; here it is the same mount, perhaps read-only by now.
mount -o remount,rw "$ROOT"
mount -t proc -o nosuid,nodev,noexec proc "$ROOT/proc"
# Read-only: systemd then leaves udev and the host's devices alone, as in any container.
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$ROOT/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$ROOT/sys/fs/cgroup"
# A systemd that shares one of these with its host empties it.
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$ROOT/run"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$ROOT/tmp"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$ROOT/dev"
mkdir "$ROOT/dev/shm" "$ROOT/dev/pts" "$ROOT/dev/net"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$ROOT/dev/shm"
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=000 devpts "$ROOT/dev/pts"
umask 0
mknod -m 666 "$ROOT/dev/null" c 1 3
mknod -m 666 "$ROOT/dev/zero" c 1 5
mknod -m 666 "$ROOT/dev/full" c 1 7
mknod -m 666 "$ROOT/dev/random" c 1 8
mknod -m 666 "$ROOT/dev/urandom" c 1 9
mknod -m 666 "$ROOT/dev/tty" c 5 0
mknod -m 666 "$ROOT/dev/ptmx" c 5 2
mknod -m 666 "$ROOT/dev/net/tun" c 10 200
mknod -m 666 "$ROOT/dev/fuse" c 10 229
umask 022
ln -s /proc/self/fd "$ROOT/dev/fd"
ln -s /proc/self/fd/0 "$ROOT/dev/stdin"
ln -s /proc/self/fd/1 "$ROOT/dev/stdout"
ln -s /proc/self/fd/2 "$ROOT/dev/stderr"

# The kernel's boot_id is the host's and cannot be changed. systemd, journald and kmonte tell boots apart by it, so a
# file of this boot is mounted over it. A unit with a /proc of its own (ProtectProc=) sees the host's.
mkdir "$ROOT/run/lab"
echo "$BOOT_ID" >"$ROOT/run/lab/boot_id"
chmod 444 "$ROOT/run/lab/boot_id"
mount -o bind,ro "$ROOT/run/lab/boot_id" "$ROOT/proc/sys/kernel/random/boot_id"

mount -o bind,ro "$KMONTE" "$ROOT/opt/kmonte"
# Where bin/kmonte keeps what Node made of the sources; the checkout's own is the host's.
if [ -d "$ROOT/opt/kmonte/.cache" ]; then
  mkdir -p "$ROOT/var/cache/kmonte"
  mount --bind "$ROOT/var/cache/kmonte" "$ROOT/opt/kmonte/.cache"
fi

# The other end is a port of the switch to which the clients are connected. The device comes up as on any machine: by
# systemd-networkd.
# Connections of an earlier boot whose end is not through yet may keep its network, and the device with it, for a while.
nsenter --net="/proc/$HOLDER/ns/net" ip link delete port 2>/dev/null || :
ip link add eth0 address "$ADDRESS" type veth peer name port netns "/proc/$HOLDER/ns/net"
nsenter --net="/proc/$HOLDER/ns/net" ip link set port master switch up

cd "$ROOT"
pivot_root . mnt
umount -l /mnt
# As systemd has it on a machine, and leaves it to whoever made the container in one: mounts that it makes in a child,
# those of credentials among them, come to be here.
mount --make-rshared /
if [ -n "$BEFORE_INIT" ]; then
  env -i PATH="$PATH" /bin/sh -c "$BEFORE_INIT" || { echo "lab: what runs before systemd failed ($?)"; exit 1; }
fi
# With "container" in its environment, systemd leaves the clock, the console and the settings of the kernel alone.
exec env -i PATH="$PATH" container=lab /lib/systemd/systemd systemd.unit=multi-user.target
