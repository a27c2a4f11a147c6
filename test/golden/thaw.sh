#!/bin/sh
# thaw.sh KMONTE IMAGE TARGET [OPTION…]: runs in the surroundings, as their first process: thaws the image that is called IMAGE in
# their folder, with these options, and asks the process TARGET whether it noticed. What the program says goes to standard output.
set -eu
kmonte=$1 image=$2 target=$3
shift 3
# The programs use no vector registers: any processor will do.
"$kmonte" thaw "/var/tmp/kmonte-golden.here/$image" --other-processor "$@" >&2
# They are left alone for a moment, so that they could notice.
sleep 0.1
kill -TERM "$target"
tries=0
until grep -q '^\(PASS\|FAIL.*\)$' output || [ $tries -gt 200 ] || ! kill -0 "$target" 2>/dev/null; do
  tries=$((tries + 1))
  sleep 0.1
done
cat output
# Groups outlive their processes; those of other tests have other numbers.
find /sys/fs/cgroup -mindepth 1 -depth -type d -path "*kmonte-test*-$target*" -exec rmdir {} + 2>&1 || :
