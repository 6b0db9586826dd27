#!/usr/bin/env bash
# mosquitto_pub, mosquitto_sub and mosquitto_rr: mosquitto.sh PORT VERSION USER PASSWORD. A line for each habit: "ok NAME" or
# "fails NAME: WHY".
set -uo pipefail

readonly port=$1 version=$2 user=$3 password=$4
readonly to=(-h 127.0.0.1 -p "$port" -V "$version")
readonly patience=20
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

pub() { mosquitto_pub "${to[@]}" "$@"; }

# Subscribes in the background, and returns once that is acknowledged: `sub NAME ARGUMENTS...` leaves what comes in
# $directory/NAME.
sub() {
    local name=$1
    shift
    stdbuf -oL mosquitto_sub "${to[@]}" -d -W $patience "$@" >"$directory/$name" 2>&1 &
    for _ in $(seq 200); do
        grep -q 'Subscribed (mid' "$directory/$name" && return 0
        sleep 0.05
    done
    return 1
}

# What came, without what mosquitto_sub says of itself.
came() { grep -v '^Client \|^Subscribed ' "$directory/$1" | paste -sd, -; }

same() { [ "$1" = "$2" ] || { echo "$1 instead of $2"; return 1; }; }

# Waits until the subscriber has what it waits for, which has to be this.
hears() {
    wait
    same "$(came "$1")" "$2"
}

each_quality() {
    sub "$1" -i "$1-$version" -q 2 -t "$2" -C 3 -F '%q %p' || return
    for qos in 0 1 2; do pub -q $qos -t "$2" -m "at $qos" || return; done
    hears "$1" '0 at 0,1 at 1,2 at 2'
}

lower_quality() {
    sub "$1" -i "$1-$version" -q 1 -t "$2" -C 1 -F '%q %p' || return
    pub -q 2 -t "$2" -m 'at 2' && hears "$1" '1 at 2'
}

retained() {
    pub -q 1 -r -t "$2" -m kept || return
    same "$(mosquitto_sub "${to[@]}" -W $patience -t "$2" -C 1 -F '%r %p')" '1 kept' || return
    pub -q 1 -r -n -t "$2" && sub "$1" -t "$2" -C 1 -F '%r %p' || return
    pub -q 1 -t "$2" -m end && hears "$1" '0 end'
}

wildcards() {
    sub "$1" -t "$2/+/x" -t "$2/deep/#" -C 3 -F '%t' || return
    for topic in a/x a/y deep deep/b/c; do pub -q 1 -t "$2/$topic" -m here || return; done
    hears "$1" "$2/a/x,$2/deep,$2/deep/b/c"
}

will() {
    sub "$1" -q 1 -t "$2" -C 1 -F '%p' || return
    mosquitto_sub "${to[@]}" -E -t "$2/none" --will-topic "$2" --will-payload left || return
    stdbuf -oL mosquitto_sub "${to[@]}" -i "$1-mortal-$version" -d -t "$2/none" --will-topic "$2" --will-payload gone \
        >"$directory/mortal" 2>&1 &
    local mortal=$!
    for _ in $(seq 200); do
        grep -q 'Subscribed (mid' "$directory/mortal" && break
        sleep 0.05
    done
    kill -9 $mortal
    hears "$1" gone
}

session_kept() {
    local kept=(-i "$1-$version" -c -q 1 -t "$2")
    [ "$version" != 5 ] || kept+=(-x 60)
    mosquitto_sub "${to[@]}" "${kept[@]}" -E || return
    pub -q 1 -t "$2" -m meanwhile || return
    same "$(mosquitto_sub "${to[@]}" "${kept[@]}" -W $patience -C 1)" meanwhile
}

large() {
    sub "$1" -q 1 -t "$2" -C 1 -F '%l' || return
    head -c 300000 /dev/zero | tr '\0' x | pub -q 1 -t "$2" -s || return
    hears "$1" 300000
}

users() {
    pub -u "$user" -P "$password" -q 1 -t "$2" -m in || return
    local told
    told=$(pub -u "$user" -P wrong -q 1 -t "$2" -m in 2>&1) && { echo 'it was let in'; return 1; }
    grep -qi 'authori[sz]ed\|user name' <<<"$told" || { echo "$told"; return 1; }
}

request_response() {
    [ "$version" = 5 ] || return 0
    # Answers one question: to where and with what the question says.
    sub "$1" -q 1 -t "$2/question" -C 1 -F '%R %D' || return
    mosquitto_rr "${to[@]}" -q 1 -W $patience -t "$2/question" -e "$2/answer" -m '?' -D publish correlation-data c0ffee \
        >"$directory/answer" &
    local asking=$! question
    for _ in $(seq 200); do
        question=$(grep -v '^Client \|^Subscribed ' "$directory/$1") && break
        sleep 0.05
    done
    same "$question" "$2/answer c0ffee" || return
    pub -q 1 -t "${question% *}" -m '!' -D publish correlation-data "${question#* }" || return
    wait $asking
    same "$(cat "$directory/answer")" '!'
}

shared() {
    [ "$version" = 5 ] || return 0
    sub "$1-a" -q 1 -t "\$share/group/$2" -C 10 -F '%p' && sub "$1-b" -q 1 -t "\$share/group/$2" -C 10 -F '%p' || return
    for number in $(seq 20); do pub -q 1 -t "$2" -m "$number" || return; done
    wait
    same "$(cat "$directory/$1-a" "$directory/$1-b" | grep -v '^Client \|^Subscribed ' | sort -n | paste -sd, -)" \
        "$(seq -s, 20)"
}

for habit in each_quality lower_quality retained wildcards will session_kept large users request_response shared; do
    if why=$($habit "$habit" "mosquitto-$version/$habit" 2>&1); then
        echo "ok $habit"
    else
        echo "fails $habit: $(paste -sd' ' - <<<"$why")"
    fi
done
