#!/bin/sh
# Holds what a machine made of namespaces keeps from boot to boot: its mounted disk, and the network in which its
# clients are. Started by lab/namespace-machine.ts in a mount and a network namespace of its own. When its standard
# input ends (whoever started it closes it, or was killed), it ends all processes of the machine and removes the rest.
set -eu
directory=$1 # a folder for this machine alone, removed at the end
groups=$2    # how the paths of the machine's control groups begin
image=$3     # the disk to copy
shift 3      # the clients' addresses
cp --sparse=always --reflink=auto "$image" "$directory/disk"
mkdir "$directory/root"
mount -o loop "$directory/disk" "$directory/root"
# From now on the disk lasts as long as it is mounted anywhere.
rm "$directory/disk"
ip link set lo up
ip link add switch type bridge
for address; do
  case $address in
  # Without duplicate address detection: it would take a second.
  *:*) ip address add "$address" dev switch nodad ;;
  *) ip address add "$address" dev switch ;;
  esac
done
ip link set switch up
echo ready
read -r _ || true
for group in "$groups"*; do
  [ -d "$group" ] || continue
  echo 1 >"$group/cgroup.kill" || true
  tries=0
  until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || [ $((tries += 1)) -gt 100 ]; do sleep 0.1; done
done
# In this namespace the disk is still mounted; the folder outside is empty.
umount -l "$directory/root"
rm -rf --one-file-system "$directory"
