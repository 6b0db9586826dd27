#!/usr/bin/env bash
# Lines of protocol/src that the tests of `protocol` reach. Needs cargo-tarpaulin.
#
# Unoptimised, since lines vanish in optimised code. Without the model check and `pair`, which take too long under
# ptrace; every line that only they reach counts as not reached.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo tarpaulin --engine ptrace -p baton-protocol --profile dev --locked --skip-clean --target-dir target/tarpaulin \
    --lib --test connect --test ring --test snapshot --test states --include-files 'protocol/src/*' --timeout 900 \
    --out Stdout "$@"
