package iptables

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/kube"
)

func TestCommands(t *testing.T) {
	service := kube.Service{Namespace: "default", Name: "myservice", Port: 2222, ClusterIP: netip.MustParseAddr("10.108.33.37"),
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("172.18.166.131:2222")}}
	two := Rules(kube.ProxyConfig{}, service)
	service.Endpoints = service.Endpoints[:1]
	one := Rules(kube.ProxyConfig{}, service)
	want := []string{
		`iptables -w -t nat -R KUBE-SVC-OU4YAF3JEHVEJFUL 1 -m comment --comment "default/myservice -> 172.18.166.130:2222" -j KUBE-SEP-PJ4FHXCE35HSVDDE`,
		`iptables -w -t nat -D KUBE-SVC-OU4YAF3JEHVEJFUL 2`,
		`iptables -w -t nat -F KUBE-SEP-STD4CE2EJGJOOEBY`,
		`iptables -w -t nat -X KUBE-SEP-STD4CE2EJGJOOEBY`,
	}
	if diff := cmp.Diff(want, Commands(two, one)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := Commands(two, two); got != nil {
		t.Errorf("nothing changes: %v", got)
	}
}
