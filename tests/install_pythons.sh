#!/bin/sh
# Makes an environment for each other supported Python that is on this machine: .venv-3.12 …
set -eu

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in 3.11 3.12 3.13; do
    [ "$version" = "$own" ] && continue
    # A shim of a version manager may stand in the PATH and start nothing.
    python=""
    for found in "python$version" "$HOME/.pyenv/versions/$version".*/bin/python3; do
        if "$found" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            python=$found
        fi
    done
    if [ -z "$python" ]; then
        echo "not on this machine: Python $version; its tests are skipped"
        continue
    fi
    folder=.venv-$version
    if [ ! -e "$folder/installed" ] || [ pyproject.toml -nt "$folder/installed" ]; then
        echo "installing for Python $version"
        "$python" -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet -e '.[dev]'
        touch "$folder/installed"
    fi
done
