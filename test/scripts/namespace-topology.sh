#!/usr/bin/env bash
# The network of docker/compose.yaml, made of three network namespaces: the agent's place, whose only
# neighbour is the proxy; the proxy's; and an origin's. Proves that the proxy works from the agent's place
# and that nothing else does: no direct TCP, no DNS, no IPv6, no other port of the gateway. Every address
# lives inside these namespaces, and everything is taken down at the end.
#
#   agent 10.201.1.2 ── 10.201.1.1 proxy 10.201.2.1 ── 10.201.2.2 origin      (and fd77:201:N::/64)
#
# Prints `ok` and `not ok` lines. Exit codes: 0 all ok, 1 something is not, 77 this machine cannot do it
# (the last line says why). NODE names the Node to use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
node=${NODE:-node_modules/.bin/node}
id=sp$$
agent=$id-agent proxy=$id-proxy origin=$id-origin
work=$(mktemp -d)
pids=()

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  set +e
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in "${pids[@]}"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  for space in "$agent" "$proxy" "$origin"; do ip netns del "$space" 2>/dev/null; done
  if [ -n "${KEEP:-}" ]; then echo "# kept: $work"; else rm -rf "$work"; fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cannot() { echo "skip: $*"; exit 77; }

command -v ip >/dev/null || cannot 'there is no `ip` command (iproute2)'
[ "$(id -u)" -eq 0 ] || cannot 'network namespaces need root'
for space in "$agent" "$proxy" "$origin"; do
  ip netns add "$space" 2>"$work/error" || cannot "no network namespace can be made: $(head -n 1 "$work/error")"
done
inside() { local space=$1; shift; ip netns exec "$space" "$@"; }

# wire SPACE NAME  SPACE NAME: one cable
wire() {
  ip link add "$2" netns "$1" type veth peer name "$4" netns "$3" 2>"$work/error" ||
    cannot "no veth pair can be made: $(head -n 1 "$work/error")"
}
address() {
  local space=$1 link=$2 net=$3 host=$4
  inside "$space" ip address add "10.201.$net.$host/24" dev "$link"
  inside "$space" ip -6 address add "fd77:201:$net::$host/64" dev "$link" nodad
  inside "$space" ip link set "$link" up
}
wire "$agent" eth0 "$proxy" inner
wire "$proxy" outer "$origin" eth0
for space in "$agent" "$proxy" "$origin"; do
  inside "$space" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 2>/dev/null || true
  inside "$space" ip link set lo up
done
address "$agent" eth0 1 2 2>"$work/error" || cannot "addresses cannot be set: $(head -n 1 "$work/error")"
address "$proxy" inner 1 1
address "$proxy" outer 2 1
address "$origin" eth0 2 2
# the origin can answer whoever reaches it, so silence on the agent's side is not for want of a way back
inside "$origin" ip route add 10.201.1.0/24 via 10.201.2.1
inside "$origin" ip -6 route add fd77:201:1::/64 via fd77:201:2::1
# what every host that is not a router has, and what the proxy's place must have
for setting in net.ipv4.ip_forward net.ipv6.conf.all.forwarding; do
  [ "$(inside "$proxy" cat "/proc/sys/${setting//.//}")" = 0 ] || inside "$proxy" sysctl -qw "$setting=0"
done

mkdir "$work/policies" "$work/data"
cat >"$work/hosts" <<'HOSTS'
10.201.2.2 allowed.test
10.201.2.2 denied.test
10.201.1.1 gateway.test
HOSTS
echo 'nameserver 127.0.0.1' >"$work/resolv.conf"
cat >"$work/sallyport.toml" <<TOML
listen   = "0.0.0.0:3128"
clients  = ["10.201.1.0/24"]
policies = "$work/policies"
data     = "$work/data"
certs    = "$work/certs"

[dns]
hosts       = "$work/hosts"
resolv_conf = "$work/resolv.conf"
TOML
cat >"$work/policies/10-topology.toml" <<'TOML'
[network]
unknown        = "deny"
denied_domains = ["denied.test"]

[[network.rules]]
id      = "origin"
hosts   = ["allowed.test"]
local   = ["10.201.2.2/32"]
verdict = "allow"

[[network.rules]]
id      = "gateway"
hosts   = ["gateway.test:3128", "gateway.test:3130"]
local   = ["10.201.1.0/24"]
verdict = "allow"
TOML

# waits for the first line of FILE, at most 20 s, while PID lives
first_line() {
  local file=$1 pid=$2
  for _ in $(seq 200); do
    [ -s "$file" ] && return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  return 1
}

: >"$work/contacts"
ip netns exec "$origin" "$node" test/scripts/topology-origin.ts "$work/contacts" 10.201.2.2 fd77:201:2::2 >"$work/origin.out" 2>"$work/origin.err" &
pids+=($!)
first_line "$work/origin.out" $! || { echo "not ok the origin starts: $(tail -n 3 "$work/origin.err")"; exit 1; }

ip netns exec "$proxy" "$node" bin/sallyport.js start --json --config "$work/sallyport.toml" >"$work/proxy.out" 2>"$work/proxy.err" &
pids+=($!)
first_line "$work/proxy.out" $! || { echo "not ok the proxy starts off loopback with clients = [CIDR]: $(tail -n 5 "$work/proxy.err" | tr '\n' ' ')"; exit 1; }
echo "ok the proxy starts off loopback with clients = [CIDR]"

failures=0
probe() {
  local space=$1
  shift
  # its own mount namespace: the agent's resolv.conf points at nothing, as in the compose file
  timeout 60 ip netns exec "$space" sh -c 'mount --bind "$1" /etc/resolv.conf 2>/dev/null; shift; exec "$@"' probe \
    "$work/resolv.conf" "$node" test/scripts/topology-probe.ts "$@" || failures=$((failures + 1))
}

# `sallyport doctor` finds what the probes find; targets are the namespaces' own. They share their files, which agents and
# proxies of two containers do not: the agent looks for the control socket where there is none
doctor() {
  local space=$1 data=$2
  timeout 60 ip netns exec "$space" sh -c 'mount --bind "$1" /etc/resolv.conf 2>/dev/null; shift; exec "$@"' doctor \
    "$work/resolv.conf" "$node" bin/sallyport.js doctor --only escape --proxy http://10.201.1.1:3128 --data "$data" \
    --probe-host allowed.test:443 --probe-address '10.201.2.2:443,[fd77:201:2::2]:80' --probe-dns 10.201.2.2 >"$work/doctor.out" 2>&1
}

probe "$proxy" reaches
if ! doctor "$proxy" "$work/data" && grep -Eq 'fail +direct_tcp' "$work/doctor.out" && grep -Eq 'fail +dns_udp' "$work/doctor.out"; then
  echo "ok doctor finds the ways out of the proxy's place"
else
  echo "not ok doctor finds the ways out of the proxy's place: $(tr -s ' \n' ' ' <"$work/doctor.out")"
  failures=$((failures + 1))
fi
before=$(wc -l <"$work/contacts")
probe "$agent" sealed 'no route'
if doctor "$agent" "$work/elsewhere"; then
  echo "ok doctor finds no way out of the agent's place but the proxy"
else
  echo "not ok doctor finds no way out of the agent's place but the proxy: $(tr -s ' \n' ' ' <"$work/doctor.out")"
  failures=$((failures + 1))
fi
# the worst case: the agent's place has a default route, as a container with a gateway has
inside "$agent" ip route add default via 10.201.1.1
inside "$agent" ip -6 route add default via fd77:201:1::1
probe "$agent" sealed 'default route'
probe "$origin" stranger

# the origin's own book: what came in since the agent began came from the proxy, for the four allowed requests
tail -n +"$((before + 1))" "$work/contacts" >"$work/since"
if grep -vE '^(http|tls) (::ffff:)?10\.201\.2\.1$' "$work/since"; then
  echo "not ok nothing but the proxy reached the origin"
  failures=$((failures + 1))
else
  echo "ok nothing but the proxy reached the origin"
fi
if [ "$(wc -l <"$work/since")" -eq 4 ]; then
  echo "ok the origin saw exactly the allowed requests"
else
  echo "not ok the origin saw exactly the allowed requests: $(tr '\n' ';' <"$work/since")"
  failures=$((failures + 1))
fi
[ "$failures" -eq 0 ]
