#!/bin/sh
# A pipeline whose pipe is always full: the writer is far ahead of the reader, and what stands between them must
# come through whole. pipeline.sh FILE
seq 1 1000000000 | while read -r number; do
  echo "$number" >>"$1"
  sleep 1
done
