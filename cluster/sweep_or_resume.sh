#!/bin/sh
# Starts a sweep, or goes on with it if its record is there: an entry point that may be run again after anything died.
#   cluster/sweep_or_resume.sh NAME SPACE STORAGE [OPTIONS of rayforget sweep]
set -eu
name=$1 space=$2 storage=$3
shift 3
if rayforget status "$name" --storage "$storage" > /dev/null 2>&1; then
  exec rayforget sweep --resume "$name" --storage "$storage" "$@"
fi
exec rayforget sweep "$space" --name "$name" --storage "$storage" "$@"
