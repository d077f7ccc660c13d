#!/usr/bin/env bash
# What `ctsim run flush-multi-backend` does, by hand: with ip, iptables and conntrack.
#
#   flush-multi-backend.sh calls     kube-proxy's rules on both nodes, one iptables command for each
#   flush-multi-backend.sh restore   the same rules, one iptables-restore a node
#   flush-multi-backend.sh few       not kube-proxy's rules: only those without which the case would not happen
#
# PEER names the program that plays client and servers (the folder peer beside this file, built). Everything happens in
# namespaces of the script's own, which end with it, however it ends: nothing of it is ever on the host.
set -euo pipefail

export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if [ -z "${INSIDE:-}" ]; then
	user=()
	if [ "$(id -u)" -ne 0 ]; then user=(--user --map-root-user); fi
	# The pid namespace ends every process below with its first one.
	INSIDE=1 exec unshare "${user[@]}" --net --mount --pid --fork --kill-child "$0" "$@"
fi
mount -t tmpfs tmpfs /run # ip netns keeps its names there, iptables-legacy its lock

service=10.108.33.37:2222

# ---- the world: client on master, server-1 and server-2 on node1 ---------------------------------------------------

# namespace NAME: an empty one that makes no noise of its own.
namespace() {
	ip netns add "$1"
	ip netns exec "$1" bash -c '
		cd /proc/sys/net
		for all in all default; do
			if [ -d ipv6 ]; then echo 1 >ipv6/conf/$all/disable_ipv6; fi
			echo 0 >ipv4/conf/$all/rp_filter
		done'
	ip -n "$1" link set lo up
}

# node NAME ADDRESS GATEWAY: a bridge for the pods, and a default route into a sink: without one, packets that are not
# translated die in routing, before the filter rules see them. Conntrack's timeouts are kube-proxy's.
node() {
	namespace "$1"
	ip -n "$1" link add cni0 up type bridge mcast_snooping 0
	ip -n "$1" addr add "$3/24" dev cni0
	ip -n "$1" link add sink up arp off type bridge mcast_snooping 0
	ip -n "$1" addr add "$2/32" dev sink
	ip -n "$1" route add default dev sink src "$2"
	ip netns exec "$1" bash -c '
		cd /proc/sys/net
		echo 1 >ipv4/ip_forward
		echo 86400 >netfilter/nf_conntrack_tcp_timeout_established
		echo 3600 >netfilter/nf_conntrack_tcp_timeout_close_wait'
}

# pod NAME ADDRESS NODE GATEWAY
pod() {
	namespace "$1"
	ip -n "$3" link add "veth-$1" up master cni0 type veth peer name eth0 netns "$1"
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "$4"
}

node master 192.168.122.20 172.18.219.1
node node1 192.168.122.21 172.18.166.1
pod client 172.18.219.65 master 172.18.219.1
pod server-1 172.18.166.130 node1 172.18.166.1
pod server-2 172.18.166.131 node1 172.18.166.1

ip -n master link add eth0 up type veth peer name eth0 netns node1
ip -n node1 link set eth0 up
ip -n master addr add 192.168.122.20/24 dev eth0
ip -n node1 addr add 192.168.122.21/24 dev eth0
ip -n master route add 172.18.166.0/24 via 192.168.122.21
ip -n node1 route add 172.18.219.0/24 via 192.168.122.20

# ---- who listens: conntrack before the first packet, or it hears nothing of the connection -------------------------

ip netns exec master conntrack -E >/run/events 2>/dev/null &
ip netns exec server-1 "$PEER" server 0.0.0.0:2222 >/run/server-1 &
ip netns exec server-2 "$PEER" server 0.0.0.0:2222 >/run/server-2 &

# ---- the rules -----------------------------------------------------------------------------------------------------

kube_proxy() {
	cat <<'RULES'
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-PJ4FHXCE35HSVDDE - [0:0]
:KUBE-SEP-STD4CE2EJGJOOEBY - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-OU4YAF3JEHVEJFUL - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-PJ4FHXCE35HSVDDE -s 172.18.166.130/32 -m comment --comment "default/myservice" -j KUBE-MARK-MASQ
-A KUBE-SEP-PJ4FHXCE35HSVDDE -p tcp -m comment --comment "default/myservice" -m tcp -j DNAT --to-destination 172.18.166.130:2222
-A KUBE-SEP-STD4CE2EJGJOOEBY -s 172.18.166.131/32 -m comment --comment "default/myservice" -j KUBE-MARK-MASQ
-A KUBE-SEP-STD4CE2EJGJOOEBY -p tcp -m comment --comment "default/myservice" -m tcp -j DNAT --to-destination 172.18.166.131:2222
-A KUBE-SERVICES -d 10.108.33.37/32 -p tcp -m comment --comment "default/myservice cluster IP" -m tcp --dport 2222 -j KUBE-SVC-OU4YAF3JEHVEJFUL
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-OU4YAF3JEHVEJFUL ! -s 172.18.0.0/16 -d 10.108.33.37/32 -p tcp -m comment --comment "default/myservice cluster IP" -m tcp --dport 2222 -j KUBE-MARK-MASQ
-A KUBE-SVC-OU4YAF3JEHVEJFUL -m comment --comment "default/myservice -> 172.18.166.130:2222" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-PJ4FHXCE35HSVDDE
-A KUBE-SVC-OU4YAF3JEHVEJFUL -m comment --comment "default/myservice -> 172.18.166.131:2222" -j KUBE-SEP-STD4CE2EJGJOOEBY
COMMIT
RULES
}

# one_by_one: the iptables command for each line of kube_proxy, in the namespace it runs in.
one_by_one() {
	local table line
	kube_proxy | while read -r line; do
		case $line in
		'*'*) table=${line#'*'} ;;
		:*) line=${line#:} && iptables -w -t "$table" -N "${line%% *}" ;;
		-A*) eval "iptables -w -t $table $line" ;;
		esac
	done
}

# few: what translates the service's address, by chance, to one of the two servers.
few() {
	iptables -w -t nat -A PREROUTING -d 10.108.33.37 -p tcp --dport 2222 \
		-m statistic --mode random --probability 0.5 -j DNAT --to-destination 172.18.166.130:2222
	iptables -w -t nat -A PREROUTING -d 10.108.33.37 -p tcp --dport 2222 -j DNAT --to-destination 172.18.166.131:2222
}

export -f kube_proxy one_by_one few
case ${1:-calls} in
calls) for node in master node1; do ip netns exec $node bash -euc one_by_one; done ;;
restore) for node in master node1; do ip netns exec $node iptables-restore --noflush -w < <(kube_proxy); done ;;
few) ip netns exec master bash -euc few ;;
*) echo "usage: $0 [calls|restore|few]" >&2 && exit 2 ;;
esac

# ---- the case ------------------------------------------------------------------------------------------------------

until [ -s /run/server-1 ] && [ -s /run/server-2 ]; do sleep 0.01; done

coproc ip netns exec client "$PEER" client "$service"
read -r said <&"${COPROC[0]}"
echo "connect: $said"

# sends: what the client's next send says.
sends() {
	echo >&"${COPROC[1]}"
	read -r said <&"${COPROC[0]}"
	echo "send: $said"
}

sends
# Each new entry leads to the other server with probability 1/2: flush until it did. The send after the flush succeeds,
# its answer is a RST, and the send after that fails.
tries=0
while [ "$said" = Success ]; do
	ip netns exec master conntrack -F 2>/dev/null
	tries=$((tries + 1))
	sends
	sends
done
[ "$said" = "connection reset by peer" ]
until grep -q 'DESTROY.*UNREPLIED' /run/events; do sleep 0.01; done
cat /run/events
echo "reset after $tries flushes"
