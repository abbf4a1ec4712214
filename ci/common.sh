# Sourced by train.sh and test.sh: finds a Python, makes a virtual environment, installs into it.

export PIP_DISABLE_PIP_VERSION_CHECK=1
# What surrounds the caller must not leak into the environment made here.
unset PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX

script="ci/$(basename "$0")"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  printf '%s: %s\n' "$script" "$*" >&2
  exit 1
}

set -E
trap 'fail "failed at line $LINENO: $BASH_COMMAND"' ERR

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Prints the first Python of at least 3.11 that can make virtual environments. DEVTENSOR_PYTHON, if set, is the only
# candidate.
find_python() {
  local candidate old="" bare=""
  local candidates=(python3 python3.14 python3.13 python3.12 python3.11 python)
  if [ -n "${DEVTENSOR_PYTHON:-}" ]; then
    candidates=("$DEVTENSOR_PYTHON")
  fi
  for candidate in "${candidates[@]}"; do
    "$candidate" -c '' >/dev/null 2>&1 || continue
    if ! is_new_enough "$candidate"; then
      old="$old $candidate is $("$candidate" -c 'import platform; print(platform.python_version())');"
    elif ! "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
      bare="${bare:-$candidate}"
    else
      printf '%s\n' "$candidate"
      return
    fi
  done
  if [ -n "$bare" ]; then
    fail "$bare has no venv and pip; install them (on Debian and Ubuntu: apt-get install python3-venv)"
  fi
  fail "Python 3.11 or newer is needed;${old:- no Python was found;} install one, or name it in DEVTENSOR_PYTHON"
}

# make_environment FOLDER: leaves a usable environment in FOLDER. One that is there already is kept; a folder that
# holds something else is never touched.
make_environment() {
  local folder="$1" python
  if [ -x "$folder/bin/python" ] && is_new_enough "$folder/bin/python" && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    return
  fi
  if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ] && [ -n "$(ls -A "$folder" 2>&1)" ]; then
    fail "$folder is no Python environment and is not empty; remove it or set DEVTENSOR_ENV to another folder"
  fi
  if [ -e "$folder" ] && [ -n "${DEVTENSOR_ENV:-}" ]; then
    fail "$folder has no working Python of at least 3.11 with pip; remove it or set DEVTENSOR_ENV to another folder"
  fi
  python="$(find_python)" || exit 1
  printf '%s: making an environment in %s with %s\n' "$script" "$folder" "$("$python" --version)"
  "$python" -m venv --clear "$folder" || fail "$python could not make an environment in $folder"
}

# A text that changes when the environment must be installed anew.
stamp_of() {
  "$1/bin/python" - "$root" "$2" <<'PYTHON'
import hashlib, pathlib, sys
root, extras = sys.argv[1:]
print(hashlib.sha256(pathlib.Path(root, "pyproject.toml").read_bytes()).hexdigest(), sys.version_info[:3], extras, root)
PYTHON
}

needed_packages() {
  "$1/bin/python" - "$root" "$2" <<'PYTHON'
import pathlib, sys, tomllib
root, extras = sys.argv[1:]
project = tomllib.loads(pathlib.Path(root, "pyproject.toml").read_text(encoding="utf-8"))
wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
for extra in extras.split(","):
    wanted += project["project"]["optional-dependencies"].get(extra, [])
print(" ".join(wanted))
PYTHON
}

# install FOLDER EXTRAS: the checkout, editable, so that the environment always runs the code that is here.
# Nothing is done when the same was installed before.
install() {
  local folder="$1" extras="$2${DEVTENSOR_EXTRAS:+,$DEVTENSOR_EXTRAS}" log="$1/install.log" stamp
  stamp="$(stamp_of "$folder" "$extras")"
  if [ "$(cat "$folder/devtensor.stamp" 2>/dev/null || true)" = "$stamp" ]; then
    return
  fi
  printf '%s: installing devtensor[%s] (some minutes the first time; log in %s)\n' "$script" "$extras" "$log"
  if ! "$folder/bin/python" -m pip install --no-input -e "$root[$extras]" >"$log" 2>&1 </dev/null; then
    explain_install "$folder" "$extras" "$log"
  fi
  printf '%s\n' "$stamp" >"$folder/devtensor.stamp"
}

explain_install() {
  local folder="$1" extras="$2" log="$3" needed
  needed="$(needed_packages "$folder" "$extras")"
  if grep -qiE 'connection broken|NewConnectionError|ConnectTimeout|Read timed out|name resolution|ProxyError|Network is unreachable|No matching distribution' "$log"; then
    fail "the package index could not be reached or lacks a package (log: $log); needed: $needed." \
      "Offline: put their wheels in a folder (elsewhere: pip download -d wheels PACKAGES)" \
      "and run PIP_NO_INDEX=1 PIP_FIND_LINKS=/path/to/wheels bash $script"
  fi
  grep -iE '^ *error' "$log" | tail -n 3 >&2 || true
  fail "pip could not install devtensor[$extras] (log: $log)"
}
