#!/bin/sh
# Makes .venv beside this file and installs BitZero into it, editable.
# Usage: sh setup.sh [EXTRAS]     for example: test, dev, cuda or test,cuda
# A second call with nothing changed returns at once.
set -eu
cd "$(CDPATH='' cd -P "$(dirname "$0")" && pwd -P)"
here=$PWD
extras=${1-}

say() { printf 'setup: %s\n' "$*"; }
fail() {
  say "$@" >&2
  exit 1
}

find_python() {
  for name in python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail "needs Python 3.11 or newer, and found none on the PATH"
}

# Debian and Ubuntu keep the half of Python that makes environments apart.
install_venv_package() {
  package=$("$python" -c \
    'import sys; print("python{}.{}-venv".format(*sys.version_info))')
  advice="$python cannot make environments: install $package, then run again"
  command -v apt-get >/dev/null || fail "$advice"
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif sudo -n true 2>/dev/null; then
    as_root=sudo
  else
    fail "$advice"
  fi
  say "installing Debian's package $package, which $python lacks"
  {
    $as_root apt-get -qq update &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install \
        --no-install-recommends "$package"
  } >/dev/null </dev/null || fail "$advice"
  "$python" -c 'import ensurepip' 2>/dev/null || fail "$advice"
}

# An environment that was moved or copied still writes into its old place.
venv_is_whole() {
  grep -qF "$here/.venv/bin/python" .venv/bin/pip 2>/dev/null &&
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'
}

if ! venv_is_whole; then
  python=$(find_python)
  "$python" -c 'import ensurepip' 2>/dev/null || install_venv_package
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi

.venv/bin/python - "$extras" <<'PYTHON'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
  known = sorted(tomllib.load(file)["project"]["optional-dependencies"])
for extra in filter(None, sys.argv[1].split(",")):
  if extra not in known:
    sys.exit(f"setup: unknown extra {extra!r}: choose from {', '.join(known)}")
PYTHON

# One line for each set of extras that this version of the two files asks for
# and pip has finished. Without the file, nothing is taken as installed.
stamp=.venv/installed
sum=$(cat pyproject.toml setup.cfg | cksum)
if grep -qxF "$sum [$extras]" "$stamp" 2>/dev/null; then
  say ".venv is up to date"
  exit 0
fi
say "installing bitzero-jax${extras:+[$extras]}, minutes on the first call"
finished=$(grep -sF "$sum " "$stamp" || true)
rm -f "$stamp"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --editable ".${extras:+[$extras]}" </dev/null
printf '%s\n' "$finished" "$sum [$extras]" >"$stamp"
say "done"
