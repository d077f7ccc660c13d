# namespace NAME: an empty one that makes no noise of its own.
namespace() {
	ip netns add "$1"
	ip netns exec "$1" sysctl -qe -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	ip -n "$1" link set lo up
}

# node NAME ADDRESS GATEWAY/BITS: a bridge for the pods, and a default route into a sink: without one, packets that are
# not translated die in routing, before the filter rules see them.
node() {
	namespace "$1"
	ip -n "$1" link add cni0 up type bridge mcast_snooping 0
	ip -n "$1" addr add "$3" dev cni0
	ip -n "$1" link add sink up arp off type bridge mcast_snooping 0
	ip -n "$1" addr add "$2/32" dev sink
	ip -n "$1" route add default dev sink src "$2"
	ip netns exec "$1" sysctl -q -w net.ipv4.ip_forward=1
}

# pod NAME ADDRESS/BITS NODE GATEWAY
pod() {
	namespace "$1"
	ip -n "$3" link add "veth-$1" up master cni0 type veth peer name eth0 netns "$1"
	ip -n "$1" addr add "$2" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "$4"
}

# set_sysctls NAME KEY=VALUE…
set_sysctls() { ip netns exec "$1" sysctl -q -w "${@:2}"; }

# links_up: a frame that is sent before its link is up is lost, and its retransmission takes a second.
links_up() {
	local name
	for name in $(ip netns list | cut -d' ' -f1); do
		while ip -n "$name" -o link show type veth | grep -qv 'state UP'; do sleep 0.01; done
	done
}

# install_rules: on every node, all at once, as kube-proxy does. Conntrack entries are left alone.
install_rules() {
	local node
	for node in $nodes; do rules "$endpoints" | ip netns exec "$node" iptables-restore -w 5; done
}
