#!/bin/bash
# enter-root.sh BASE INSTANCE USER SCRIPT: runs a script in a Debian whose files are in the
# directory BASE. Changes are written to INSTANCE and are there at the next call; if both are the
# same directory, to it. All its processes end with it. Requires root;
# `unshare --mount --pid --fork --kill-child` calls it.
set -eu
base=$1 instance=$2 user=$3 script=$4
root=$base
if [ "$base" != "$instance" ]; then
    root=$instance/root
    mkdir -p "$instance/upper" "$instance/work" "$root"
    mount -t overlay overlay \
        -o "lowerdir=$base,upperdir=$instance/upper,workdir=$instance/work" "$root"
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 none "$root/tmp"

# as the machine reaches its package registries
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/etc/ssl/certs"
certs=/etc/ssl/certs/ca-certificates.crt
cp "$certs" "$root$certs"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
set -- PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    NODE_EXTRA_CA_CERTS=$certs SSL_CERT_FILE=$certs npm_config_cafile=$certs PIP_CERT=$certs \
    npm_config_registry="$(npm config get registry)" npm_config_update_notifier=false
for name in $(compgen -e | grep -iE '^(https?_proxy|no_proxy|goproxy|gosumdb|goflags)$' || true); do
    set -- "$@" "$name=${!name}"
done

if [ "$user" = root ]; then
    exec chroot "$root" env -i HOME=/root "$@" bash -c "cd; $script"
fi
chroot "$root" id "$user" >/dev/null 2>&1 || chroot "$root" useradd -m -s /bin/bash "$user"
exec chroot --userspec="$user:$user" "$root" env -i HOME="/home/$user" USER="$user" "$@" \
    bash -c "cd; $script"
