#!/bin/sh
# Makes .venv with the pinned requirements and this project in it. Safe to repeat; called by make.
#
#   setup.sh [PYTHON]   the interpreter; without it the one .venv has, else the first usual name that is new enough
set -eu

venv=.venv
asked=${1:-}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
version() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null || echo unknown; }

find_python() {
    if [ -n "$asked" ]; then set -- "$asked"; else set -- python3 python3.13 python3.12 python3.11 python; fi
    for name; do
        if new_enough "$name"; then echo "$name"; return; fi
    done
    echo "Outlay needs Python 3.11 or newer; $1 is $("$1" --version 2>/dev/null || echo 'not there')." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2
    return 1
}

usable() {
    new_enough "$venv/bin/python" || return 1
    [ -z "$asked" ] || [ "$(version "$asked")" = "$(version "$venv/bin/python")" ] || return 1
    # uv makes environments without pip; without uv such a one cannot be completed.
    command -v uv >/dev/null 2>&1 || "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

if [ -n "$asked" ] || ! usable; then python=$(find_python); fi
usable || rm -rf "$venv"

if command -v uv >/dev/null 2>&1; then
    echo "Setting up $venv with uv: about 350 MB, some seconds, the first time under a minute ..."
    [ -d "$venv" ] || uv venv --quiet --python "$python" "$venv"
    uv pip install --quiet --python "$venv/bin/python" -r requirements.txt
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e .
else
    echo "Setting up $venv with pip: about 350 MB, one to three minutes the first time ..."
    [ -d "$venv" ] || "$python" -m venv "$venv" || {
        rm -rf "$venv"
        echo "$python has no venv. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
    pip="$venv/bin/python -m pip --quiet --disable-pip-version-check --no-input"
    $pip install -r requirements.txt
    $pip install --no-deps --no-build-isolation -e .
fi
printf '%s\n' "$asked" >"$venv/.python"
