#!/bin/sh
# Takes away what Ray leaves behind on a worker: its raylet ends a minute after `ray down` has ended the head, its log
# monitor does not. One process on each machine of one's own; a cloud takes the machine away.
#   cluster/after_ray.sh [SECONDS]    SECONDS between two looks, 5 if not given
set -u
every=${1:-5}
exec 9> "${TMPDIR:-/tmp}/rayforget-after-ray.lock"
flock -n 9 || exit 0                    # `ray up` starts one each time
gone=0                                  # looks in a row without a raylet: it takes a moment to come up
while [ "$gone" -lt 6 ]; do
  sleep "$every"
  if pgrep -x raylet > /dev/null; then gone=0; else gone=$((gone + 1)); fi
done
exec ray stop --force > /dev/null 2>&1 9>&-
