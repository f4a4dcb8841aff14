#!/bin/sh
# Runs the light tests on every Python of 3.11 to 3.14 that is on this machine; `make matrix`.
# Each gets an environment of its own in build/matrix, which make sets up as it does .venv.
set -u

light='tests/test_settings.py tests/machine tests/dataset tests/mcld_cli/test_app.py
    tests/mcld_cli/test_settings.py tests/mcld_cli/test_signing.py tests/test_wheel.py'

find_python() {
    # pyenv puts names on the PATH that answer only where a version is chosen.
    for python in "python$1" \
        "$(uv python find --no-python-downloads "$1" 2>/dev/null)" \
        "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if [ -n "$python" ] && "$python" -c "import sys; sys.exit(sys.version_info[:2] != ($(echo "$1" | tr . ,)))" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

ran='' failed=''
for version in 3.11 3.12 3.13 3.14; do
    if ! python=$(find_python "$version"); then
        echo "Python $version: not on this machine, left out"
        continue
    fi
    venv=build/matrix/$version
    echo "Python $version: $python"
    ran="$ran $version"
    # shellcheck disable=SC2086 # several paths
    "${MAKE:-make}" --no-print-directory VENV="$venv" PYTHON="$python" setup &&
        OMP_NUM_THREADS=1 "$venv/bin/pytest" $light || failed="$failed $version"
done
echo "Ran on:${ran:- none}; failed on:${failed:- none}"
[ -n "$ran" ] && [ -z "$failed" ]
