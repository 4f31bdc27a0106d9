# Shared by the tests that need a network of their own: hosts as network namespaces, each joined by a
# veth pair to a bridge that lies in another one. Nothing is added to this machine's own network.
# Sourced after lib.sh.

net=lora$$ # names the namespaces: $net-switch, $net-1 ...
net_count=0

# N: hosts 1..N with the addresses 10.83.0.N, or skips the test
net_up() {
    local i
    [ "$(id -u)" = 0 ] || skip "needs root for network namespaces"
    command -v ip >/dev/null || skip "needs ip (iproute2)"
    at_leave() { net_down; }
    ip netns add $net-switch 2>/dev/null || skip "needs root that may make network namespaces"
    ip -n $net-switch link add name bridge type bridge 2>/dev/null || skip "needs root that may use network namespaces and bridges"
    ip -n $net-switch link set bridge up
    for ((i = 1; i <= $1; i++)); do
        net_count=$i
        ip netns add $net-$i &&
            ip -n $net-switch link add name port$i type veth peer name eth0 netns $net-$i &&
            ip -n $net-switch link set port$i master bridge up &&
            ip -n $net-$i addr add 10.83.0.$i/24 dev eth0 && ip -n $net-$i link set eth0 up &&
            ip -n $net-$i link set lo up || fail "cannot make host $i"
    done
}

# every process of the hosts, then the hosts
net_down() {
    local i
    for ((i = 1; i <= net_count; i++)); do
        kill -9 $(ip netns pids $net-$i 2>/dev/null) 2>/dev/null
        ip netns del $net-$i 2>/dev/null
    done
    ip netns del $net-switch 2>/dev/null
}

# HOST COMMAND...
net_on() {
    local host=$1
    shift
    ip netns exec $net-$host "$@"
}

# HOST: pulls its cable, or puts it back
net_cut() {
    ip -n $net-switch link set port$1 down
}
net_heal() {
    ip -n $net-switch link set port$1 up
}

# HOST: bytes that it received and sent, as its network card counts them
net_bytes() {
    net_on $1 cat /sys/class/net/eth0/statistics/rx_bytes /sys/class/net/eth0/statistics/tx_bytes
}
