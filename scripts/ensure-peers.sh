#!/bin/sh
# Installs the peers that `cargo xtask bench safety --peer ...` measures beside Pilotlight: Patroni with etcd, and repmgr.
# Debian's packages only, and only those that are missing, after saying so. No test and no other script calls this; a peer
# that is not installed is skipped. Works as root or with sudo; starts no server.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "pilotlight: $*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "cannot install: not root, and there is no sudo. Run as root: $*"
        exit 1
    fi
}

if ! command -v dpkg-query >/dev/null 2>&1; then
    say "this is no Debian; install Patroni (with its etcd3 module), etcd and repmgr by hand"
    exit 1
fi
"$here/scripts/ensure-postgres.sh"
# A package of a peer belongs to a version of the server.
server=$(postgres=$(ls -d /usr/lib/postgresql/*/bin/postgres | sort -V | tail -1) &&
    "$postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
missing=""
for package in patroni python3-etcd etcd-server etcd-client repmgr "postgresql-$server-repmgr" iproute2 util-linux; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
say "installing with apt-get:$missing"
# Servers of Debian's own would be started by their packages: nobody asked for that.
refuse=/usr/sbin/policy-rc.d
made=no
if [ ! -e "$refuse" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$refuse" >/dev/null && as_root chmod 755 "$refuse" && made=yes
fi
status=0
# shellcheck disable=SC2086 # a list of words
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y update >&2 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        install --no-install-recommends $missing >&2 || status=$?
[ "$made" = no ] || as_root rm -f "$refuse"
exit "$status"
