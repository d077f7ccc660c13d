package iptables

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"

	"github.com/ctsim/ctsim/kube"
)

// Names of the chains that kube-proxy makes whether or not there are services.
const (
	chainServices         = "KUBE-SERVICES"
	chainExternalServices = "KUBE-EXTERNAL-SERVICES"
	chainNodePorts        = "KUBE-NODEPORTS"
	chainForward          = "KUBE-FORWARD"
	chainProxyFirewall    = "KUBE-PROXY-FIREWALL"
	chainFirewall         = "KUBE-FIREWALL"
	chainPostrouting      = "KUBE-POSTROUTING"
	chainMarkMasq         = "KUBE-MARK-MASQ"
)

// ServiceChain is the name of the chain that picks one of the service's endpoints, KUBE-SVC-….
// It is kube-proxy's servicePortPolicyClusterChain.
func ServiceChain(s kube.Service) string {
	return "KUBE-SVC-" + chainHash(s.String()+s.Protocol.String())
}

// ExternalChain is the name of the chain for traffic to the service from outside the cluster, by its node port,
// KUBE-EXT-…. It is kube-proxy's serviceExternalChainName.
func ExternalChain(s kube.Service) string {
	return "KUBE-EXT-" + chainHash(s.String()+s.Protocol.String())
}

// EndpointChain is the name of the chain that translates to one endpoint of the service, KUBE-SEP-….
// It is kube-proxy's servicePortEndpointChainName.
func EndpointChain(s kube.Service, ep netip.AddrPort) string {
	return "KUBE-SEP-" + chainHash(s.String()+s.Protocol.String()+ep.String())
}

// chainHash is 16 characters because a chain's name has room for 28, of which kube-proxy's prefixes take 9.
func chainHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base32.StdEncoding.EncodeToString(sum[:])[:16]
}
