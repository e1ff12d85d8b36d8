#!/bin/sh
# Keeps MLflow running on a cluster's head, on loopback: starts it again when it dies, and ends it with Ray (`ray stop`,
# `ray down`). Not every head has systemd.
#   cluster/mlflow.sh FOLDER [SECONDS]    FOLDER: its database, artifacts and log; SECONDS between two looks, 5 if not given
# RAYFORGET_MLFLOW_DB (postgresql://...) and RAYFORGET_MLFLOW_ARTIFACTS (s3://...) put them elsewhere than into FOLDER.
# A second one of the same folder waits 90 seconds for the first to end, then ends itself.
set -u
folder=$1 every=${2:-5}
db=${RAYFORGET_MLFLOW_DB:-sqlite:///$folder/mlflow.db} artifacts=${RAYFORGET_MLFLOW_ARTIFACTS:-$folder/artifacts}
mkdir -p "$folder"
exec 9> "$folder/lock"
flock -w "${RAYFORGET_MLFLOW_WAIT:-90}" 9 || exit 0    # one that is about to end with a Ray of before is waited for
server=
stop() { [ -z "$server" ] || kill -- "-$server" 2> /dev/null; }   # its whole group: a killed server leaves its children
end() { stop; exit 0; }
trap end INT TERM
ray_gone=0                              # looks in a row without Ray: it takes a moment to come up, or to be restarted
while [ "$ray_gone" -lt 12 ]; do
  if [ -z "$server" ] || ! kill -0 "$server" 2> /dev/null; then
    stop
    setsid mlflow server --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri "$db" \
      --artifacts-destination "$artifacts" >> "$folder/server.log" 2>&1 < /dev/null 9>&- &
    server=$!
  fi
  sleep "$every"
  if pgrep -x gcs_server > /dev/null; then ray_gone=0; else ray_gone=$((ray_gone + 1)); fi
done
end
