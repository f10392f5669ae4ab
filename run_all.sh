#!/usr/bin/env bash
# One command for everything. See README.md.
#   ./run_all.sh [all] [--profile smoke|quick|paper] [--data DIR] [--out DIR] [--seeds N] [--only table_03,...]
#   ./run_all.sh all --help   every flag
#   ./run_all.sh setup      the environment alone, in .venv
#   ./run_all.sh test       the environment, then the test suite
# PYTHON=python3.12 sets up with that Python, REQUIREMENTS=requirements.txt by the ranges and not by the lock.
set -euo pipefail
cd "$(dirname "$0")"
STAMP=.venv/installed  # what .venv was set up from, by what, and where; its last step

refuse() {
    echo "error: $1" >&2
    exit 2
}

# Print a Python's version, system and processor, "3.11 Linux x86_64"; nothing where it does not run.
about() {
    "$1" -c 'import platform, sys; print("%d.%d" % sys.version_info[:2], platform.system(), platform.machine())' \
        2>/dev/null || true
}

# Print why a Python, of which `about` says so, cannot have the packages; nothing where it can.
misfit() {
    case $1 in
        "") echo "no Python that runs, expected 3.11, 3.12 or 3.13; set PYTHON to one" ;;
        *" Darwin x86_64") echo "macOS on Intel (x86_64), for which TensorFlow has no wheels" ;;
        "3.11 "* | "3.12 "* | "3.13 "*) ;;
        *) echo "Python ${1%% *}, for which TensorFlow has no wheels, expected 3.11, 3.12 or 3.13; set PYTHON to one" ;;
    esac
}

# Print the command of the Python to set up with: PYTHON, or the first in PATH that fits.
choose_python() {
    local python first
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if [ -z "$(misfit "$(about "$python")")" ]; then
            echo "$python"
            return
        fi
    done
    first=${PYTHON:-python3}
    refuse "$first: $(misfit "$(about "$first")")"
}

# Print the stamp of an environment: requirements and their checksum, its Python, its folder.
stamp() {
    echo "$1 $(cksum <"$1")"
    about .venv/bin/python
    pwd -P
}

# Print why .venv cannot be used as it is; nothing where it can.
stale() {
    local from
    if ! [ -f "$STAMP" ]; then
        echo "its set-up did not end"
    elif ! read -r from _ <"$STAMP" || ! [ -f "$from" ] || [ "${REQUIREMENTS:-$from}" != "$from" ]; then
        echo "it was set up from other requirements"
    elif [ -z "$(about .venv/bin/python)" ]; then
        echo "its Python does not run"
    elif [ -n "${PYTHON:-}" ] && [ "$(about "$PYTHON")" != "$(about .venv/bin/python)" ]; then
        echo "it has another Python than $PYTHON"
    elif ! stamp "$from" | cmp -s - "$STAMP"; then
        echo "it was set up from other requirements, elsewhere or for another machine"
    fi
}

# The lock where it was made for the machine: its versions were tested there.
choose_requirements() {
    case $(about "$1") in
        *" Linux x86_64") echo "${REQUIREMENTS:-requirements.lock}" ;;
        *) echo "${REQUIREMENTS:-requirements.txt}" ;;
    esac
}

setup() {
    local python from exact=() why=""
    if [ -e .venv ] || [ -L .venv ]; then
        why=$(stale)
        [ -n "$why" ] || return 0
        [ -f .venv/pyvenv.cfg ] || refuse ".venv: not an environment of Python; move it away"
        # Set-up clears the folder: another checkout's environment would be lost.
        [ ! -L .venv ] || refuse ".venv: a link to $(readlink .venv), where $why; remove the link"
        why=" again, as $why"
    fi
    python=$(choose_python)
    from=$(choose_requirements "$python")
    [ -f "$from" ] || refuse "$from: no such file, expected requirements.lock or requirements.txt"
    [ "$from" != requirements.lock ] || exact=(--require-hashes --only-binary :all:)
    echo "setting up .venv from $from$why (a few minutes)"
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile ${exact[@]+"${exact[@]}"} -r "$from"
    # Byte code on all cores; as with pip, a file that this Python cannot compile stays as it is.
    .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
    stamp "$from" >.venv/.installed
    mv .venv/.installed "$STAMP"
}

command=all
case "${1:-}" in
    setup | test | all) command=$1; shift ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    "" | -*) ;;
    *) refuse "$1: unknown command, expected setup, test or all" ;;
esac
setup
case $command in
    setup) echo "ready: source .venv/bin/activate" ;;
    test) exec .venv/bin/python -m pytest "$@" ;;
    all) exec .venv/bin/python -m experiments.run "$@" ;;
esac
