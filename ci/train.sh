#!/usr/bin/env bash
# The main job from a fresh clone: makes an environment and runs examples/train.py with the arguments given.
# Needs Python 3.11 or newer with venv and pip.
#
#   DEVTENSOR_ENV     folder of the environment (default: .venv-train)
#   DEVTENSOR_PYTHON  the Python to make it with
#   DEVTENSOR_EXTRAS  further extras to install, such as cuda12
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/common.sh

environment="${DEVTENSOR_ENV:-$root/.venv-train}"
make_environment "$environment"
install "$environment" examples
exec "$environment/bin/python" examples/train.py "$@"
