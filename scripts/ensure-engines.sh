#!/bin/sh
# Finds what the tests of several controllers need besides PostgreSQL: etcd with its client, and moto, a server that
# speaks S3. Installs what is missing after saying so: etcd with apt-get, moto into target/moto. What cannot be had is
# said, and its tests fail unless PILOTLIGHT_REQUIRE leaves it out; this never fails a build. Starts no server.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
venv="${CARGO_TARGET_DIR:-$here/target}/moto"

say() { echo "pilotlight: $*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -n "$@"
    else
        return 1
    fi
}

# A server of Debian's own would be started by its package: nobody asked for that.
install_etcd() {
    command -v apt-get >/dev/null 2>&1 || return 1
    say "etcd was not found; installing etcd-server and etcd-client with apt-get"
    refuse=/usr/sbin/policy-rc.d
    made=no
    if [ ! -e "$refuse" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$refuse" >/dev/null && as_root chmod 755 "$refuse" && made=yes
    fi
    as_root timeout 120 env DEBIAN_FRONTEND=noninteractive apt-get -q -y update >&2 &&
        as_root timeout 300 env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=60 \
            install --no-install-recommends etcd-server etcd-client >&2
    status=$?
    [ "$made" = no ] || as_root rm -f "$refuse"
    return "$status"
}

install_moto() {
    say "moto_server was not found; making its environment"
    timeout 600 "$here/scripts/ensure-moto.sh"
}

command -v etcd >/dev/null 2>&1 || install_etcd ||
    say "etcd cannot be installed here; its tests fail (PILOTLIGHT_REQUIRE without etcd skips them)"
command -v moto_server >/dev/null 2>&1 || [ -x "$venv/bin/moto_server" ] || install_moto ||
    say "moto cannot be installed here; its tests fail (PILOTLIGHT_REQUIRE without moto skips them)"
exit 0
