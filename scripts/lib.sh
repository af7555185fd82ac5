# shellcheck shell=bash
#
# What the scripts share; sourced, not run.
#
# Environment:
#   PYTHON                the Python, 3.11 or newer, that .venv is made from; default: the first one found
#   SOLEMATE_TORCH_INDEX  a package index to take torch and torchvision from, such as
#                         https://download.pytorch.org/whl/cpu; default: as pip is configured
#   SOLEMATE_PYTHON       a Python that has solemate installed, to use as it is instead of .venv
#
# After `ensure_installed`, $python is the interpreter to use. Run modules with `-P`: the caller's folder, which may
# hold a `model` or a `service` of its own, then stays off the import path.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=

# Nothing from outside .venv may be imported.
unset PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE=1

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# For an option that takes a value: needs_value "$@"
needs_value() { [ -n "${2:-}" ] || die "$1 needs a value"; }

# The comment at the head of the script, as its help.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# --- One run at a time ----------------------------------------------------------------------------------------------

# Waits until no other run holds FILE, and holds it until `release` or the end of this script:
# hold PYTHON FILE MESSAGE, which is said where there is another run to wait for.
#
# By Python, since macOS has no flock(1). The lock belongs to the open file 9, not to the process that asks for it, and
# a stage that outlives this script has the file open as well: what was killed is waited for, and nothing is ever stale.
hold() {
  { exec 9>>"$2"; } 2>/dev/null || return 0 # can't be written: then nothing can be made here either
  "$1" -I - "$3" <<'PYTHON'
import fcntl
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print(f"==> {sys.argv[1]}", file=sys.stderr, flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError as error:
    print(f"==> Files can't be locked here ({error.strerror}): start no second run beside this one", file=sys.stderr)
PYTHON
}

release() { exec 9>&-; }

# --- Python ---------------------------------------------------------------------------------------------------------

# Prints the command of a Python that can make .venv.
find_python() {
  local candidate incomplete=''
  set -- python3.11 python3.12 python3.13 python3 python
  [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
  for candidate in "$@"; do
    # Run, not only looked up: a version manager's shim may be there for a version that is not.
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return
    fi
    incomplete=${incomplete:-$candidate}
  done
  if [ -n "$incomplete" ]; then
    local version
    version=$("$incomplete" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    die "$incomplete lacks the modules that make virtual environments." \
      "On Debian and Ubuntu: sudo apt install python$version-venv"
  fi
  [ -z "${PYTHON:-}" ] || die "PYTHON=$PYTHON is not a working Python 3.11 or newer"
  die "Python 3.11 or newer is needed, and there is none among: $*." \
    "Install one (https://www.python.org/downloads/), or name it: PYTHON=/path/to/python3.11 scripts/${0##*/}"
}

pip_install() {
  (cd "$root" && "$python" -m pip install --disable-pip-version-check --constraint constraints.txt "$@") >&2
}

# Sets $python; makes .venv and installs solemate with these extras (service,training[,dev]) unless that was done.
ensure_installed() {
  if [ -n "${SOLEMATE_PYTHON:-}" ]; then
    python=$SOLEMATE_PYTHON
    return
  fi
  python=$venv/bin/python
  if is_installed "$1"; then return; fi
  local base=$python
  "$base" -c '' 2>/dev/null || base=$(find_python)
  # A file that is there anyway; it is not written to.
  hold "$base" "$root/constraints.txt" "Another run is installing the Python packages: waiting for it"
  if ! is_installed "$1"; then install_packages "$1"; fi
  release
}

stamp=$venv/.solemate-installed

# True when .venv works, and was made from what is here now with at least these extras.
is_installed() {
  local key
  key="$(installation_key) $1"
  case $(cat "$stamp" 2>/dev/null) in
    "$key"*) "$python" -c '' 2>/dev/null ;;
    *) false ;;
  esac
}

installation_key() {
  { printf '%s\n' "$root" && cat "$root/pyproject.toml" "$root/constraints.txt"; } | cksum
}

install_packages() {
  local extras=$1 began=$SECONDS base
  case $(cat "$stamp" 2>/dev/null) in
    *,dev) extras=service,training,dev ;;
  esac
  rm -f "$stamp"
  if ! "$python" -c '' 2>/dev/null; then
    base=$(find_python)
    say "Making .venv with $("$base" --version)"
    "$base" -m venv --clear "$venv"
  fi
  "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >&2
  say "Installing the Python packages into .venv"
  install_torch
  pip_install --editable ".[$extras]" || die "the packages could not be installed; pip's reason is above"
  printf '%s\n' "$(installation_key) $extras" >"$stamp"
  say "Installed in $((SECONDS - began)) s"
}

# Takes torch from SOLEMATE_TORCH_INDEX, if that is set: before the rest, which then finds it there. By itself, so
# that no other package is looked for, or taken, from that index.
install_torch() {
  if [ -n "${SOLEMATE_TORCH_INDEX:-}" ]; then
    pip_install --index-url "$SOLEMATE_TORCH_INDEX" --no-deps torch torchvision ||
      die "torch could not be installed from SOLEMATE_TORCH_INDEX=$SOLEMATE_TORCH_INDEX; pip's reason is above"
  elif [ "$(uname -sm)" = "Linux x86_64" ] && ! command -v nvidia-smi >/dev/null &&
    ! "$python" -m pip show --quiet torch 2>/dev/null; then
    say "torch for Linux comes with CUDA, some gigabytes. Without a GPU this is enough, and smaller:" \
      "SOLEMATE_TORCH_INDEX=https://download.pytorch.org/whl/cpu scripts/${0##*/}"
  fi
}

# --- Artifacts ------------------------------------------------------------------------------------------------------

# Sets $source, the catalogue's full spelling ("demo" for none), and $artifacts, the folder that is its own.
resolve_catalog() {
  if [ -z "$1" ]; then
    source=demo artifacts=$root/artifacts
    return
  fi
  local resolved
  resolved=$("$python" -P - "$1" <<'PYTHON'
import dataclasses
import hashlib
import re
import sys

from model.catalog.reader import parse_spec
from model.errors import CatalogError

try:
    spec = parse_spec(sys.argv[1])
except CatalogError as error:
    sys.exit(f"--catalog: {error}")
spec = dataclasses.replace(spec, path=spec.path.resolve())
name = re.sub(r"[^A-Za-z0-9_-]+", "-", spec.path.stem).strip("-") or "catalogue"
print(spec)
print(f"{name}-{hashlib.sha256(str(spec).encode()).hexdigest()[:8]}")
PYTHON
  ) || exit 1
  source=${resolved%$'\n'*} artifacts=$root/artifacts/${resolved##*$'\n'}
}

child=

# Runs a stage to its end, `stage NAME TITLE ARGUMENTS-OF-PYTHON...`; only one that ended well is marked as done.
stage() {
  local name=$1 title=$2 began=$SECONDS status=0
  shift 2
  say "$title"
  # In the background, so that a signal is handled at once and reaches the child too.
  "$python" -P "$@" &
  child=$!
  wait "$child" || status=$?
  child=
  [ "$status" = 0 ] || die "stopped: the step above failed. Once that is mended, the same command goes on from here."
  mkdir -p "$artifacts/.done"
  touch "$artifacts/.done/$name"
  say "Done in $((SECONDS - began)) s"
}

# True when the stage ended well and what it made is still there.
is_done() { [ -e "$artifacts/.done/$1" ] && [ -e "$2" ]; }

interrupt() {
  trap '' INT TERM
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  printf '\n' >&2
  say "Stopped. The same command goes on from here."
  exit "$1"
}

# Makes what $artifacts lacks, from $source, unless it was made by hand.
prepare_artifacts() {
  mkdir -p "$artifacts" || die "$artifacts can't be written"
  hold "$python" "$artifacts/.lock" "Another run is preparing $artifacts: waiting for it"
  if claim_artifacts; then make_artifacts; fi
  release
}

# Draws (demo only), trains and indexes what is still to do. THE place for those commands' options.
make_artifacts() {
  local demo=$artifacts/demo checkpoint=$artifacts/checkpoint catalog=$artifacts/catalog spec=$source rebuild=''
  local preset=
  trap 'interrupt 130' INT
  trap 'interrupt 143' TERM
  if [ "$source" = demo ]; then
    spec=$demo preset=catalog
    if ! is_done draw "$demo"; then
      rm -f "$artifacts/.done/"*
      stage draw "Drawing a catalogue of shoes to try it on" -m training demo-catalog --out "$demo"
    fi
  fi
  # A stage that runs anew makes the later ones due.
  if ! is_done train "$checkpoint/config.json"; then
    rm -f "$artifacts/.done/train" "$artifacts/.done/index"
    # What is there is this script's own: a network trained on what the catalogue was before.
    stage train "Training the network" -m training train --catalog "$spec" --out "$checkpoint" \
      ${preset:+--preset "$preset"} --resume --overwrite
    # What was indexed with another network, since removed, is of no use to this one.
    [ ! -e "$catalog" ] || rebuild=--rebuild
  fi
  if ! is_done index "$catalog/catalog.sqlite"; then
    stage index "Indexing the catalogue" -m service index --catalog "$spec" --checkpoint "$checkpoint" \
      --out "$catalog" ${rebuild:+"$rebuild"}
  fi
  trap - INT TERM
}

# Records what $artifacts is made from. False when what is there was made by hand, to be served as it is.
claim_artifacts() {
  local owner=$artifacts/source recorded
  if [ -e "$owner" ]; then
    recorded=$(cat "$owner")
    [ "$recorded" = "$source" ] ||
      die "$artifacts was made from $recorded, not from $source. Name that catalogue again, or choose another folder" \
        "(with Docker another project, 'docker compose -p NAME', which has a volume of its own)."
    return
  fi
  if [ -e "$artifacts/checkpoint/config.json" ] && [ -e "$artifacts/catalog/catalog.sqlite" ]; then
    say "Using the checkpoint and the catalogue in $artifacts as they are"
    return 1
  fi
  if [ -e "$artifacts/checkpoint" ] || [ -e "$artifacts/catalog" ]; then
    die "$artifacts holds a checkpoint or a catalogue, but not both, and they were not made by this script." \
      "Make the other one with 'python -m training train' or 'python -m service index', or remove what is there."
  fi
  { printf '%s\n' "$source" >"$owner.new" && mv "$owner.new" "$owner"; } || die "$artifacts can't be written"
}
