#!/usr/bin/env bash
# Lint, types and tests (the import contract is one of them) from a fresh clone, in an environment of their own.
# Arguments go to pytest: --full, --device NAME, --oracle torch, -k EXPRESSION, paths, ...
#
#   DEVTENSOR_ENV     folder of the environment (default: .venv-test)
#   DEVTENSOR_PYTHON  the Python to make it with
#   DEVTENSOR_EXTRAS  further extras to install, such as cuda12
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/common.sh

environment="${DEVTENSOR_ENV:-$root/.venv-test}"
make_environment "$environment"
install "$environment" test,examples,fast,cuda-test

failed=""
check() {
  local name="$1"
  shift
  printf '%s: %s\n' "$script" "$name"
  "$environment/bin/python" -m "$@" || failed="$failed $name"
}

check lint ruff check --output-format concise .
check types pyright --pythonpath "$environment/bin/python"
# Last, so that its closing line is the last of the output when all is well.
check tests pytest --numprocesses auto --dist loadgroup "$@"
[ -z "$failed" ] || fail "failed:$failed"
