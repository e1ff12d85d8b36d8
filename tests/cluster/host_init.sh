#!/bin/bash
# Process 1 of a host, in namespaces of its own: gives it its own home, /tmp, /dev/shm and names, runs sshd, and reaps.
#   host_init.sh NAME FOLDER HOSTS SHARED...    FOLDER: the host's disk; HOSTS: its /etc/hosts; SHARED: folders of this
#                                               machine that it sees too, also where they lie in a home or in /tmp
set -eu
name=$1 disk=$2 hosts=$3
shift 3
mount --make-rprivate /
mkdir -p "$disk/root/.ssh" "$disk/tmp" /run/sshd
chmod 700 "$disk/root" "$disk/root/.ssh"
chmod 1777 "$disk/tmp"
for shared; do
  case $shared in /root/* | /tmp/*) mkdir -p "$disk$shared" && mount --bind "$shared" "$disk$shared" ;; esac
done
mount --rbind "$disk/root" /root
mount --rbind "$disk/tmp" /tmp
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount --bind "$hosts" /etc/hosts
hostname "$name"
ip link set lo up
[ -f /root/hostkey ] || ssh-keygen -q -t ed25519 -N '' -f /root/hostkey
"$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f /dev/null -h /root/hostkey -o UsePAM=no -o StrictModes=no \
  -o PidFile=none -o PasswordAuthentication=no -o MaxStartups=100 -o MaxSessions=100 2> /root/sshd.log &
while :; do wait -n || sleep 0.2; done
