#!/usr/bin/env bash
# One command for everything. See README.md.
#   ./run_all.sh [all] [--profile smoke|quick|paper] [--data DIR] [--out DIR] [--seeds N] [--only table_03,...]
#   ./run_all.sh setup      the environment alone, in .venv
#   ./run_all.sh test       the environment, then the test suite
set -euo pipefail
cd "$(dirname "$0")"

setup() {
    local python="${PYTHON:-python3}" stamp=.venv/installed
    if ! cmp -s requirements.txt "$stamp"; then
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
            echo "error: $python: expected Python 3.11 or newer; set PYTHON to one" >&2
            exit 2
        }
        echo "setting up .venv from requirements.txt (once, a few minutes)"
        "$python" -m venv .venv
        # Both wheels of OpenCV fill one folder; an environment of an earlier version may hold the other.
        .venv/bin/python -m pip uninstall --quiet --yes opencv-python-headless
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
        # Byte code on all cores; as with pip, a file that this Python cannot compile stays as it is.
        .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
        cp requirements.txt "$stamp"
    fi
}

# TensorFlow reports each absent GPU library at start; errors are still shown.
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
command=all
case "${1:-}" in
    setup | test | all) command=$1; shift ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    "" | -*) ;;
    *) echo "error: $1: unknown command, expected setup, test or all" >&2; exit 2 ;;
esac
setup
case $command in
    test) exec .venv/bin/python -m pytest "$@" ;;
    all) exec .venv/bin/python -m experiments.run "$@" ;;
esac
