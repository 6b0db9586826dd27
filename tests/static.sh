#!/usr/bin/env bash
# Whether this program needs nothing but a kernel: it names no dynamic loader, and in a directory that holds it and one
# configuration and nothing else, as its root, it says its version and checks the configuration.
# Exit 77: no root directory can be changed here.
set -euo pipefail
readonly program=$1 configuration=$2
headers=$(readelf --program-headers --wide "$program")
if [[ $headers == *INTERP* ]]; then
    printf '%s has a dynamic loader\n' "$program"
    exit 1
fi
root=$(mktemp -d -p "$(dirname "$program")")
trap 'rm -rf "$root"' EXIT
cp "$program" "$root/baton"
cp "$configuration" "$root/edge.toml"
enter=(chroot "$root")
[ "$(id -u)" = 0 ] || enter=(unshare --map-root-user chroot "$root")
[ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null || enter=(sudo -n chroot "$root")
"${enter[@]}" /nothing 2>/dev/null || [ $? = 127 ] || exit 77
"${enter[@]}" /baton --version
said=$("${enter[@]}" /baton check --config /edge.toml)
[ "$said" = "configuration ok for edge: /edge.toml" ] || { printf '%s\n' "$said"; exit 1; }
