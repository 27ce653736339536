#!/bin/sh
# Finds the server programs of PostgreSQL 15 or newer, or installs them with the system's package manager after saying
# so. Does nothing when they are there. Works as root or with sudo; starts no server.
set -eu
LEAST=15

say() { echo "pilotlight: $*" >&2; }

# Every program that Pilotlight calls must be there, in one folder, in one version.
complete() {
    for program in postgres initdb pg_ctl pg_basebackup pg_rewind pg_controldata pg_waldump; do
        [ -x "$1/$program" ] || return 1
    done
    version=$("$1/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    [ "$version" -ge "$LEAST" ] 2>/dev/null
}

found() {
    on_path=$(command -v pg_ctl 2>/dev/null || true)
    from_config=$(pg_config --bindir 2>/dev/null || true)
    for folder in ${on_path:+"$(dirname "$on_path")"} ${from_config:+"$from_config"} \
        /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin /usr/local/pgsql/bin; do
        if [ -d "$folder" ] && complete "$folder"; then
            return 0
        fi
    done
    return 1
}

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

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }

# The version that a plain "apt-get install postgresql" would bring.
apt_version() { apt-cache show postgresql 2>/dev/null | sed -nE 's/^Version: ([0-9]+).*/\1/p' | sort -n | tail -1; }

install_with_apt() {
    apt update
    apt install --no-install-recommends postgresql-common
    offered=$(apt_version)
    if [ "${offered:-0}" -lt "$LEAST" ]; then
        say "this release offers PostgreSQL ${offered:-none}; adding the PostgreSQL project's own package source"
        as_root /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y
        offered=$(apt_version)
    fi
    # Debian would create and start a server of its own on port 5432: nobody asked for that.
    drop_in=/etc/postgresql-common/createcluster.d/pilotlight-install.conf
    as_root mkdir -p "$(dirname "$drop_in")"
    echo 'create_main_cluster = false' | as_root tee "$drop_in" >/dev/null
    status=0
    apt install --no-install-recommends "postgresql-$offered" || status=$?
    as_root rm -f "$drop_in"
    return "$status"
}

install_with_dnf() {
    if dnf -q module list postgresql >/dev/null 2>&1; then
        as_root dnf -y module enable postgresql:16 || as_root dnf -y module enable postgresql:15
    fi
    as_root dnf -y install postgresql-server postgresql-contrib
}

if found; then
    exit 0
fi
if command -v apt-get >/dev/null 2>&1; then
    say "PostgreSQL $LEAST or newer was not found; installing it with apt-get"
    install_with_apt
elif command -v dnf >/dev/null 2>&1; then
    say "PostgreSQL $LEAST or newer was not found; installing it with dnf"
    install_with_dnf
elif command -v brew >/dev/null 2>&1; then
    # Never tried: see docs/what-can-still-go-wrong.md.
    say "PostgreSQL $LEAST or newer was not found; installing it with brew"
    brew install postgresql@17
else
    say "PostgreSQL $LEAST or newer was not found, and none of apt-get, dnf and brew is here."
    say "Install its server programs (postgres, initdb, pg_ctl, pg_basebackup, pg_rewind, pg_controldata, pg_waldump), then run this again."
    exit 1
fi
if ! found; then
    say "the package manager is done, but the server programs of PostgreSQL $LEAST or newer are still not found"
    exit 1
fi
