#!/bin/sh
# surroundings.sh NAME COMMAND…: runs a command where golden images are made and thawed: in namespaces of its own, so that
# ids, ports and names are free on every machine, and with as few mounts as a Linux machine can have. Of the machine's
# there are / and /dev. The folder NAME in /var/tmp/kmonte-golden.work is /var/tmp/kmonte-golden.here; its `files` is
# /var/tmp/kmonte-golden as well, and its `tmp` is /tmp; /dev/shm begins with what is in its `shm`, and is the one mount
# that is shared.
set -eu
if [ "${1-}" != --inside ]; then
  exec unshare --mount --propagation private --pid --fork --kill-child --ipc --net --uts --cgroup -- "$0" --inside "$@"
fi
shift
folder=/var/tmp/kmonte-golden.work/$1
shift
mkdir -p /var/tmp/kmonte-golden /var/tmp/kmonte-golden.here "$folder/files" "$folder/tmp" "$folder/shm"
chmod 1777 "$folder/tmp"
# What other machines do not have is in the way of programs in mount namespaces of their own.
tac /proc/self/mountinfo | while read -r _ _ _ _ at _; do
  # umount(8) looks into /proc.
  case $at in / | /proc) ;; *) umount -l "$(printf '%b' "$at")" ;; esac
done
umount -l /proc
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
mount -t devtmpfs -o nosuid devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o nosuid,noexec,ptmxmode=0666,mode=620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount --make-shared /dev/shm
cp -a "$folder/shm/." /dev/shm
mount --bind "$folder" /var/tmp/kmonte-golden.here
mount --bind "$folder/files" /var/tmp/kmonte-golden
mount --bind "$folder/tmp" /tmp
# Files are found by these paths alone.
mount -t tmpfs -o mode=0 none /var/tmp/kmonte-golden.work
hostname kmonte-golden
ip link set lo up
cd /var/tmp/kmonte-golden
exec "$@"
