#!/usr/bin/env bash
# Adds to the committed corpus from what long runs found: corpus.sh [TARGET...], by default all of them.
#
# Of fuzz/target/corpus, where each file reached something when it came, it takes a fixed number, evenly over the sizes.
# Files with a name of their own (a finding that was mended) stay.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly files=32   # per target: all together stay far below half a megabyte
readonly most=2048c # bytes of a file

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)
for target in "${targets[@]}"; do
    find "corpus/$target" -type f -regextype egrep -regex '.*/([0-9a-f]{40}|seed-[0-9]+)' -delete
    mapfile -t found < <(find "target/corpus/$target" -type f -size -"$most" -printf '%s %p\n' | sort -n | cut -d' ' -f2)
    for ((i = 0; i < files && i < ${#found[@]}; i++)); do
        cp "${found[$((i * ${#found[@]} / files))]}" "corpus/$target/"
    done
    printf '%s: %d of %d\n' "$target" "$(find "corpus/$target" -type f | wc -l)" ${#found[@]}
done
du -sb corpus
