#!/bin/sh
# Installs the servers that the tests start, where this user may; else says how.
set -eu

missing=""
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null; then
    missing="$missing postgresql"
fi
if ! command -v pgbouncer >/dev/null && [ ! -x /usr/sbin/pgbouncer ]; then
    missing="$missing pgbouncer"
fi
if ! command -v redis-server >/dev/null; then
    missing="$missing redis-server"
fi
if ! command -v rabbitmq-server >/dev/null && [ ! -x /usr/sbin/rabbitmq-server ]; then
    missing="$missing rabbitmq-server"
fi
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "not installed:$missing; install them with: apt-get install$missing" >&2
        exit 0
    fi
fi
if ! command -v apt-get >/dev/null; then
    echo "not installed:$missing; install them with this system's package manager" >&2
    exit 0
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q >/dev/null || true
$as_root apt-get install -q -y --no-install-recommends $missing >/dev/null
