# shellcheck shell=bash
#
# What the scripts share; sourced, not run. All that Python can do is in launch.py.
#
# Environment:
#   PYTHON           the Python, 3.11 or newer, that .venv is made from; default: the first one found
#   SOLEMATE_PYTHON  a Python that has solemate installed, to use as it is instead of .venv

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Nothing from outside .venv may be imported.
unset PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE=1

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "scripts/${0##*/}" "$*" >&2
  exit 1
}

# Sets $base to a Python that can run launch.py: one that works, or one that can make .venv.
find_base() {
  local candidate incomplete=''
  for candidate in "${SOLEMATE_PYTHON:-}" "$root/.venv/bin/python"; do
    base=$candidate
    if [ -n "$base" ] && "$base" -c '' 2>/dev/null; then return; fi
  done
  set -- python3.11 python3.12 python3.13 python3 python
  [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
  for base in "$@"; do
    # Run, not only looked up: a version manager's shim may be there for a version that is not.
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    if "$base" -c 'import ensurepip, venv' >/dev/null 2>&1; then return; fi
    incomplete=${incomplete:-$base}
  done
  [ -z "$incomplete" ] || die "$incomplete lacks the modules that make virtual environments." \
    "On Debian and Ubuntu: sudo apt install $("$incomplete" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')-venv"
  [ -z "${PYTHON:-}" ] || die "PYTHON=$PYTHON is not a working Python 3.11 or newer"
  die "Python 3.11 or newer is needed, and there is none among: $*." \
    "Install one (https://www.python.org/downloads/), or name it: PYTHON=/path/to/python3.11 scripts/${0##*/}"
}

# Runs launch.py in place of this shell: launch serve|prepare|install ARGUMENTS
launch() {
  find_base
  SCRIPT=${0##*/} exec "$base" -P "$root/scripts/launch.py" "$base" "$@"
}
