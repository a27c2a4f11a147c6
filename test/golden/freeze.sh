#!/bin/bash
# freeze.sh KMONTE PROGRAM TYPES [OPTION…]: runs in the surroundings, as their first process: starts a program, in new
# namespaces of these types where some are given, and freezes it to `image` with these options.
set -eu
kmonte=$1 program=$2 types=$3
shift 3
folder=/var/tmp/kmonte-golden.here
umask 022
# What the maker has inherited is none of the program's.
for fd in /proc/self/fd/*; do
  fd=${fd##*/}
  [ "$fd" -le 2 ] || [ "$fd" -eq 255 ] || eval "exec $fd>&-"
done
# Programs go on writing to it whoever they have become.
: >output
chmod 666 output
# The program is 10000: higher ids than kmonte and its threads have by then, and lower ones than any machine's limit.
echo 9999 >/proc/sys/kernel/ns_last_pid
# shellcheck disable=SC2086 # nothing, or two words
setsid ${types:+./inside $types} "./$program" </dev/null >>output 2>&1 &
pid=$!
tries=0
until grep -q '^READY$' output; do
  tries=$((tries + 1))
  if [ $tries -gt 200 ] || ! kill -0 $pid; then
    cat output >&2
    exit 1
  fi
  sleep 0.1
done
"$kmonte" freeze $pid -o "$folder/image" "$@" >&2
cp -a /dev/shm/. "$folder/shm"
# Groups outlive their processes.
find /sys/fs/cgroup -mindepth 1 -depth -type d -path '*kmonte-test*' -exec rmdir {} +
