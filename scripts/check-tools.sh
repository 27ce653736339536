#!/bin/sh
# Says what is missing for a build, and how to get it. Changes nothing.
set -eu
missing=0
if ! command -v "${CARGO:-cargo}" >/dev/null 2>&1; then
    echo "pilotlight: cargo is missing. Install Rust from https://rustup.rs, then run this again." >&2
    missing=1
fi
if ! command -v cc >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1 && ! command -v clang >/dev/null 2>&1; then
    echo "pilotlight: a C compiler is missing (the embedded SQLite needs one)." >&2
    echo "  Debian, Ubuntu: apt-get install gcc libc6-dev" >&2
    echo "  Fedora, RHEL:   dnf install gcc" >&2
    echo "  macOS:          xcode-select --install" >&2
    missing=1
fi
exit "$missing"
