#!/usr/bin/env bash
# Everything that has to hold before a change goes in: format, lints, dependencies, documentation, tests, what a message
# costs in instructions, and that the program can be linked statically.
#
# Installs what the tests use and what is missing (Debian packages with root or passwordless sudo; Python, npm and cargo
# packages under target/tools), skips by name what it can't have, and ends with a count of both. With BATON_CI=1 a skip
# that tests/skips.txt doesn't list is a failure.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

readonly tools=$PWD/target/tools
readonly logs=$PWD/target/test-logs
mkdir -p "$tools" "$logs"
# Debian's brokers are where users don't look.
export PATH=$tools/bin:$PATH:/usr/sbin CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
# Tests append "<test>: <reason>" here when something that they need isn't on this machine.
export BATON_SKIPS=$logs/skips
# Where tests find clients that aren't ours.
export BATON_PYTHON=$tools/python/bin/python NODE_PATH=$tools/node/node_modules
: >"$BATON_SKIPS"
: >"$logs/tests.log"

failed=()

skip() { # name, reason
    printf '%s: %s\n' "$1" "$2" | tee -a "$BATON_SKIPS"
}

step() { # name, command...
    local name=$1 began=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then
        printf '== %s: ok (%s s)\n' "$name" $((SECONDS - began))
    else
        failed+=("$name")
        printf '== %s: FAILED (%s s)\n' "$name" $((SECONDS - began))
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian starts a broker that it installs; on this machine it is wanted as a program only.
install_debian_packages() {
    local policy=/usr/sbin/policy-rc.d ours= status=0
    if [ ! -e $policy ]; then
        ours=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null && as_root chmod +x $policy
    fi
    { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@"; } >"$logs/apt.log" 2>&1 || status=1
    [ -z "$ours" ] || as_root rm -f $policy
    return $status
}

debian_packages() {
    local missing=() command package
    while read -r command package; do
        command -v "$command" >/dev/null || missing+=("$package")
    done <<'PACKAGES'
mosquitto mosquitto
mosquitto_sub mosquitto-clients
haproxy haproxy
rabbitmq-server rabbitmq-server
ip iproute2
systemd-analyze systemd
chromium chromium
python3 python3
valgrind valgrind
node nodejs
npm npm
PACKAGES
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        skip debian-packages "no apt-get here to install ${missing[*]} with"
    elif ! as_root true 2>/dev/null; then
        skip debian-packages "needs root or passwordless sudo to install ${missing[*]}"
    elif ! install_debian_packages "${missing[@]}"; then
        skip debian-packages "apt-get couldn't install ${missing[*]}: see target/test-logs/apt.log"
    fi
}

python_packages() {
    "$BATON_PYTHON" -c 'import paho.mqtt, aiomqtt' 2>/dev/null && return 0
    { python3 -m venv "$tools/python" && "$tools/python/bin/pip" install --quiet paho-mqtt==2.1.0 aiomqtt==2.5.0; } \
        >"$logs/pip.log" 2>&1 || skip python-packages "pip couldn't install paho-mqtt and aiomqtt: see target/test-logs/pip.log"
}

npm_packages() {
    [ -d "$NODE_PATH/mqtt" ] && [ -d "$NODE_PATH/aedes" ] && return 0
    npm install --silent --prefix "$tools/node" mqtt@5.16.0 aedes@1.2.0 >"$logs/npm.log" 2>&1 ||
        skip npm-packages "npm couldn't install mqtt and aedes: see target/test-logs/npm.log"
}

# Without --locked: with the dependencies that it was released with it doesn't compile any more.
cargo_rumqttd() {
    command -v rumqttd >/dev/null && return 0
    cargo install --quiet --debug --no-default-features --root "$tools" rumqttd@0.20.0 >"$logs/rumqttd.log" 2>&1 ||
        skip rumqttd "cargo couldn't install it: see target/test-logs/rumqttd.log"
}

# Unoptimised: it compiles in a minute or two and then runs for a second.
cargo_deny() {
    command -v cargo-deny >/dev/null && return 0
    cargo install --quiet --debug --locked --root "$tools" cargo-deny@0.20.2 >"$logs/cargo-deny.log" 2>&1
}

dependencies() {
    if cargo_deny; then
        # It looks at the crates of every platform; a build has brought those of this one.
        cargo fetch --quiet --locked && cargo deny --offline check bans licenses sources
    else
        skip cargo-deny "cargo couldn't install it: see target/test-logs/cargo-deny.log"
    fi
}

# Takes the time in which nobody else wants the processors.
aside() {
    if command -v chrt >/dev/null; then chrt --idle 0 "$@"; else nice -n 19 "$@"; fi
}

# What later steps need. They say what goes wrong with it.
build_ahead() {
    aside cargo build --release --locked --quiet
    link_statically aside
} >/dev/null 2>&1

# Tests of the tier wait more than they compute; those of `protocol`, the model check above all, compute only.
tests() {
    local status=0 ahead computing
    cargo test --workspace --locked --no-run --quiet || return 1
    build_ahead &
    ahead=$!
    aside cargo test --package baton-protocol --locked --no-fail-fast >"$logs/protocol.log" 2>&1 &
    computing=$!
    cargo test --workspace --exclude baton-protocol --locked --no-fail-fast 2>&1 | tee "$logs/tests.log" || status=1
    wait $computing || status=1
    tee --append "$logs/tests.log" <"$logs/protocol.log"
    wait $ahead
    return $status
}

# With another compiler, valgrind or C library than those of the record there is nothing to compare with.
instructions() {
    local reason
    if ! command -v valgrind >/dev/null; then
        skip instructions "valgrind is not installed"
        return 0
    fi
    cargo build --release --locked --quiet || return 1
    target/release/baton bench instructions | tee "$logs/instructions.log" || return 1
    reason=$(sed -n 's/^NOT COMPARED: //p' "$logs/instructions.log")
    [ -z "$reason" ] || skip instructions "$reason"
}

# With the flag that deploy/Dockerfile links with; without optimization, which takes minutes less.
link_statically() {
    "$@" cargo rustc --target-dir target/static --locked --quiet --bin baton -- -C target-feature=+crt-static
}

linked_statically() {
    local status=0
    link_statically || return 1
    tests/static.sh target/static/debug/baton deploy/edge.toml || status=$?
    [ $status = 77 ] || return $status
    skip static "needs root, or user namespaces, to change the root directory"
}

debian_packages
python_packages
npm_packages
cargo_rumqttd
step format cargo fmt --all --check
step clippy cargo clippy --workspace --all-targets --locked -- -D warnings
step dependencies dependencies
step documentation env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet
step tests tests
step instructions instructions
step static linked_statically

printf '\n'
awk '/^test result: / { passed += $4; bad += $6; ignored += $8 }
    END { printf "%d tests passed, %d failed, %d ignored\n", passed, bad, ignored }' "$logs/tests.log"
sort -u -o "$BATON_SKIPS" "$BATON_SKIPS"
printf '%s skipped\n' "$(wc -l <"$BATON_SKIPS")"
sed 's/^/  SKIP /' "$BATON_SKIPS"
if [ -n "${BATON_CI:-}" ]; then
    while read -r skipped; do
        name=${skipped%%: *}
        grep -qxF -- "$name" <(sed 's/[[:space:]]*#.*//' tests/skips.txt) ||
            failed+=("$name was skipped, which tests/skips.txt doesn't list")
    done <"$BATON_SKIPS"
fi
printf '%s s in all\n' $SECONDS
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
printf 'All of it holds.\n'
