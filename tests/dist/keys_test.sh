#!/bin/bash
# Who has no key, a wrong or a revoked one, gets no further than the handshake, and both sides say so.
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora keys=$work/keys
says() { # FILE PATTERN WHAT
    tr '\n' ' ' <"$1" | grep -q -- "$2" || { cat "$1"; fail "$3: no word of '$2'"; }
}
refused() { # CODE WHAT PATTERN COMMAND...
    local code=$1 what=$2 pattern=$3 got=0
    shift 3
    "$@" >"$work/said" 2>&1 || got=$?
    [ $got = "$code" ] || { cat "$work/said"; fail "$what ended with $got instead of $code"; }
    says "$work/said" "$pattern" "$what"
}
worker() { # [option...]: one rank
    mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" --ps.patience=3 "$@"
}

# ---- the files

"$lora" keys new "$keys" >/dev/null || fail "no keys are made"
"$lora" keys new "$keys" second >/dev/null || fail "no second client is made"
[ "$(stat -c %a "$keys/server.key" "$keys/worker.key" "$keys" | tr '\n' ' ')" = "600 600 700 " ] || fail "others may read the keys"
refused 2 "a name that is taken" "a client 'worker' already" "$lora" keys new "$keys"
refused 2 "a name that is a path" "no name of a client" "$lora" keys new "$keys" ../x
refused 2 "a client that is not there" "no client is called 'nobody'" "$lora" keys revoke "$keys" nobody
refused 2 "no public key" "'abc' is no public key" "$lora" keys allow "$keys" abc third
"$lora" keys new "$work/elsewhere" >/dev/null
theirs=$("$lora" keys show "$work/elsewhere" | awk '$2 == "worker" { print $1 }')
"$lora" keys allow "$keys" "$theirs" third || fail "a client from elsewhere is not allowed"
[ "$("$lora" keys show "$keys" | awk '{ print $2 }' | tr '\n' ' ')" = "the worker second third " ] || fail "not all clients are shown"
"$lora" keys revoke "$keys" third
chmod 644 "$keys/worker.key"
refused 2 "a secret that others can read" "mode 0644.*chmod 600" env LORA_KEYS="$keys/worker.key" "$lora" status tcp://127.0.0.1:1
chmod 600 "$keys/worker.key"
chmod 640 "$keys/server.key"
refused 2 "a server's secret that others can read" "mode 0640" "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/x" --ps.keys="$keys"
chmod 600 "$keys/server.key"
refused 2 "a folder without keys" "no key of a server.*lora keys new" "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/x" --ps.keys="$work"
refused 2 "an open address" "not loopback.*lora keys new" "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/x" --ps.address=tcp://0.0.0.0:7700

# ---- a run with keys: the bits of one without, and nobody else gets in

reference "$work/plain"
want=$(sha "$work/plain")
log=$work/log
start_ps "$work/secure" --ps.keys="$keys"
refused 4 "a worker without a key" "in nobody without a key.*LORA_KEYS" worker
refused 3 "a worker with the key of another server" "ends the handshake: it may have another key" worker --ps.keys="$work/elsewhere"
public=$("$lora" keys show "$keys" | awk '$2 == "the" { print $1 }')
secret=$(tail -n 1 "$work/elsewhere/worker.key")
refused 4 "a worker that is not on the list" "does not allow the key of this client.*lora keys" env LORA_KEYS="$public:${secret#*:}" \
    mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address"
says "$log" "refused clients=[0-9]* last: key $theirs from 127.0.0.1 is not allowed" "the server"
refused 4 "a status without a key" "in nobody without a key" "$lora" status "$address"
"$lora" status "$address" --keys="$keys/second.key" >"$work/status" || fail "a second client is not let in"
says "$work/status" "clients *0" "the status"
worker --ps.keys="$keys" >>"$log" 2>&1 || fail "a worker with a key ended with $?"
wait $ps || fail "the server ended with $?"
same_bits "$work/secure" "encryption"

# ---- keys that come and go while it runs

steps=100000 start_ps "$work/revoked" --ps.keys="$keys"
worker --ps.keys="$keys" >"$work/first" 2>&1 &
first=$!
await 30 reached "$work/revoked" 5
"$lora" keys new "$keys" late >/dev/null
"$lora" status "$address" --keys="$keys/late.key" >/dev/null || fail "a client that is new does not get in"
"$lora" keys revoke "$keys" worker
ends_with 4 "a worker whose key was revoked" wait $first
says "$work/first" "does not allow the key of this client" "a revoked worker"
says "$log" "cut connections=.*its key is not allowed any more" "the server"
echo "not a key" >"$keys/allowed"
refused 4 "a client while the list is damaged" "does not allow the key" "$lora" status "$address" --keys="$keys/late.key"
says "$log" "nobody new is let in: .*allowed:1" "a damaged list"
kill -9 $ps
wait $ps 2>/dev/null

# ---- a server without keys is none for who has one

start_ps "$work/open"
refused 4 "a client with a key at a server without" "has no keys, and this client has" env LORA_KEYS="$work/elsewhere" \
    mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address"
kill $ps
