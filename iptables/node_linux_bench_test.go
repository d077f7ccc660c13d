package iptables

import (
	"fmt"
	"testing"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// BenchmarkInstall times an installation into a new namespace, by flavour, number of endpoints and method.
func BenchmarkInstall(b *testing.B) {
	kerneltest.Need(b)
	for _, flavour := range flavours {
		for _, endpoints := range []int{2, 100, 1000} {
			rs := Rules(kube.ProxyConfig{ClusterCIDR: clusterCIDR}, myservice(endpoints))
			for _, m := range methods {
				b.Run(fmt.Sprintf("%s/%d/%s", flavour, endpoints, m.name), func(b *testing.B) {
					if testing.Short() && endpoints > 100 {
						b.Skip("takes minutes")
					}
					for b.Loop() {
						b.StopTimer()
						ns, err := topology.NewNamespace("node")
						if err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
						n, err := Open(ns, flavour)
						if err != nil {
							b.Fatal(err)
						}
						if err := n.InstallWith(m.Method, rs); err != nil {
							b.Fatal(err)
						}
						b.StopTimer()
						if err := ns.Close(); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
				})
			}
		}
	}
}

// BenchmarkSync times the loss of one endpoint of two.
func BenchmarkSync(b *testing.B) {
	kerneltest.Need(b)
	cfg := kube.ProxyConfig{ClusterCIDR: clusterCIDR}
	sets := []RuleSet{Rules(cfg, myservice(1)), Rules(cfg, myservice(2))}
	for _, flavour := range flavours {
		for _, m := range methods {
			b.Run(fmt.Sprintf("%s/%s", flavour, m.name), func(b *testing.B) {
				n := newNode(b, flavour)
				if err := n.Install(sets[1]); err != nil {
					b.Fatal(err)
				}
				for i := 0; b.Loop(); i++ {
					if err := n.SyncWith(m.Method, sets[i%2]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCounters times one reading of all rules' counters.
func BenchmarkCounters(b *testing.B) {
	kerneltest.Need(b)
	for _, flavour := range flavours {
		b.Run(string(flavour), func(b *testing.B) {
			n := newNode(b, flavour)
			if err := n.Install(Rules(kube.ProxyConfig{}, myservice(2))); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, _, err := n.Dump(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRules times what `show --rules` needs: no kernel.
func BenchmarkRules(b *testing.B) {
	s := myservice(2)
	for b.Loop() {
		_ = Rules(kube.ProxyConfig{ClusterCIDR: clusterCIDR}, s).Save()
	}
}
