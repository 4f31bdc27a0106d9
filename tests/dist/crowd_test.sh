#!/bin/bash
# Alone: it measures how long it takes until many are in.
# Many at once: 160 clients join one server; and connections that say nothing, more than it has descriptors for, keep no
# worker out.
. "$(dirname "$0")/lib.sh"

start_ps "$work/crowd"
"$build/tests/dist/join_many" "$address" 160 >"$work/said" || fail "not all are in: $(cat "$work/said")"
read -r in seconds <"$work/said"
awk "BEGIN { exit !($in == 160 && $seconds <= 10) }" || fail "$in of 160 clients are in after $seconds s"
echo "  160 clients are in after $seconds s"
kill $ps
wait $ps 2>/dev/null

# 160 descriptors: 48 connections a port
reference "$work/calm"
want=$(sha "$work/calm")
server=$work/small_ps
printf '#!/bin/bash\nulimit -n 160\nexec "%s" "$@"\n' "$root/bin/lora_ps" >"$server"
chmod +x "$server"
start_ps "$work/silent"
host_port=${address#tcp://} port=${host_port##*:}
silent=()
for ((i = 0; i < 200; i++)); do
    exec {one}<>"/dev/tcp/127.0.0.1/$((port + i % 2))" || fail "silent connection $i is refused"
    silent+=("$one")
done
start_job 1
await 20 reached "$work/silent" 1 # what is cut by its handshake alone goes after 30 s
ends_with 0 "a server with 200 silent connections" wait $ps
ends_with 0 "its worker" wait $job
same_bits "$work/silent" "a crowd of silent connections"
[ "$(grep -c 'Too many open files' "$work/log")" = 0 ] || fail "it ran out of descriptors"
for one in "${silent[@]}"; do exec {one}>&-; done
