#!/bin/sh
# hand-over.sh UNIT: what a unit's ExecStart= is for the one boot in which kmonte has thawed its processes. Moves them
# into the unit's control group and tells systemd which is the main one (sd_notify(3), MAINPID=).
# /run/kmonte/hand-over/UNIT, which kmonte-thaw.service writes, has the main process's id in its first line, then a line
# for each process: its id, and its control group below the unit's.
file=/run/kmonte/hand-over/$1
turn=0
until [ -e "$file" ]; do
  # The processors are the thaw's first: a look a second, and systemd is asked every fifth time.
  sleep 1
  turn=$(((turn + 1) % 5))
  [ $turn = 0 ] || continue
  case $(systemctl is-active kmonte-thaw.service) in
    inactive | failed)
      # It may have thawed them and ended since the last look.
      [ ! -e "$file" ] || break
      echo "kmonte thawed no process of $1; it is started anew." >&2
      rm -f "/etc/systemd/system/$1.d/50-kmonte-hand-over.conf"
      systemctl daemon-reload
      systemctl restart --no-block "$1"
      exit 1
      ;;
  esac
done
{
  read -r main
  while read -r pid below; do
    while IFS=: read -r _ controllers path; do
      case $controllers in
        "") folder=/sys/fs/cgroup; [ -e $folder/cgroup.controllers ] || folder=/sys/fs/cgroup/unified ;;
        name=*) folder=/sys/fs/cgroup/${controllers#name=} ;;
        *) folder=/sys/fs/cgroup/$controllers ;;
      esac
      [ -d "$folder$path" ] || continue
      [ -z "$below" ] || mkdir -p "$folder$path$below"
      # One that has ended since is in no group.
      echo "$pid" 2>/dev/null >"$folder$path$below/cgroup.procs" || :
    done </proc/self/cgroup
  done
} <"$file"
# A daemon without a known main process has none to tell of.
[ "$main" != 0 ] || exit 0
exec systemd-notify --ready --pid="$main"
