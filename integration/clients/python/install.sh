#!/bin/sh
# Installs what move.py needs into a virtual environment and prints the path of its python.
#
#   integration/clients/python/install.sh [DIR]
#
# DIR is made if it is missing; the default is .cache/clients/python in this repository. An environment that was finished
# with the same requirements is used as it is, so only the first call needs a package registry.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../../../.cache/clients/python}
python=${PYTHON:-python3}

mkdir -p "$(dirname "$dir")"
if ! cmp -s "$here/requirements.txt" "$dir/finished"; then
	rm -rf "$dir"
	"$python" -m venv "$dir" >&2
	"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2
	cp "$here/requirements.txt" "$dir/finished"
fi
(cd "$dir" && echo "$PWD/bin/python")
