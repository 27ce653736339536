#!/bin/sh
# Makes the Python environment of the AWS test server under the build folder, or does nothing when it is there already.
# Needs python3 with its venv module, and PyPI for the first time. Starts no server.
set -eu
cd "$(dirname "$0")/.."
WANTED=drivers/aws/testserver/requirements.txt
FOLDER=${CARGO_TARGET_DIR:-target}/moto

say() { echo "pilotlight: $*" >&2; }

if [ -x "$FOLDER/bin/python" ] && cmp -s "$WANTED" "$FOLDER/requirements.txt"; then
    exit 0
fi
if ! python3 -c 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "python3 with venv is missing; installing it with apt-get"
        DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends python3 python3-venv >&2
    else
        say "the AWS test server needs python3 (3.10 or newer) with its venv module"
        exit 1
    fi
fi
say "making the environment of the AWS test server in $FOLDER"
rm -rf "$FOLDER"
python3 -m venv "$FOLDER"
"$FOLDER/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$WANTED" >&2
cp "$WANTED" "$FOLDER/requirements.txt"
