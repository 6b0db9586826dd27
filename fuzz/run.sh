#!/usr/bin/env bash
# Runs fuzz targets for a long time, one after another: run.sh [SECONDS [TARGET...]], by default 600 and all of them.
#
# Ends with a table, and with 1 if there was a finding. Findings are in fuzz/artifacts, what was new in
# fuzz/target/corpus. Needs a nightly compiler and cargo-fuzz (cargo install cargo-fuzz).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

readonly seconds=${1:-600}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)
# All of this is safe Rust: no address sanitizer, and with it twice the executions.
readonly build=(cargo +nightly fuzz build --sanitizer none)
"${build[@]}" || exit 1
readonly bin=target/$(rustc +nightly -vV | sed -n 's/^host: //p')/release
readonly report=target/report-$$
mkdir -p artifacts

number() { # name of a final statistic
    sed -n "s/^stat::$1: *//p" "$log"
}

found=0
for target in "${targets[@]}"; do
    log=target/$target.log
    new=target/corpus/$target
    mkdir -p "$new"
    began=$SECONDS
    cargo run --quiet --manifest-path ../Cargo.toml -p baton-fuzz-targets --example seeds -- "$target" "$new" || exit 1
    printf '%s, %s s: %s\n' "$target" "$seconds" "fuzz/$log"
    # Inputs stay small enough for thousands of executions a second; nothing here needs a gigabyte or ten seconds.
    "$bin/$target" "$new" "corpus/$target" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -timeout=10 \
        -artifact_prefix="artifacts/$target-" -print_final_stats=1 >"$log" 2>&1
    status=$?
    findings=0
    [ $status = 0 ] || findings=1
    found=$((found + findings))
    first=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
    last=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
    printf '%-14s %12s %8s %9s %7s %8s\n' "$target" "$(number number_of_executed_units)" $((SECONDS - began)) \
        "${last:-?}" "+$((${last:-0} - ${first:-0}))" "$findings" >>"$report"
done

printf '\n%-14s %12s %8s %9s %7s %8s\n' target executions seconds coverage new findings
cat "$report"
rm "$report"
[ $found = 0 ]
