#!/usr/bin/env bash
# The table of oracle bounds in the README: bench/oracle.sh FOLDER_OF_STEMS > bench/oracle.md
set -euo pipefail
unmask oracle "$1" \
    -m irm1 -m ibm_argmax -m ibm_threshold -m irm2 -m psm_unit -m psm_signed -m psm \
    -m complex_sigmoid_parts -m complex_tanh -m complex_tanh_parts -m complex \
    -m hybrid:complex_tanh:6000:irm1 -m hybrid:complex:6000:irm1
