package scenario

import (
	"fmt"
	"time"
)

// Age moves every conntrack entry forward in time without waiting: its remaining time is shortened through
// ctnetlink, and one that has none left is looked up, upon which the kernel destroys it as expired.
type Age struct {
	By time.Duration `yaml:"by,required" short:"yes" min:"1s" max:"1000h" doc:"How long the connections are idle."`
}

func (a *Age) describe() string { return "age every conntrack entry by " + a.By.String() }

// check refuses to age where it would lie: a keepalive probe would have gone out in between and refreshed the entry.
func (a *Age) check(s Scenario) string {
	for _, side := range []struct {
		name   string
		p      Program
		places []string
	}{{"client", s.World.Client, []string{"pods", PodClient}}, {"server", s.World.Server, []string{"pods", "servers"}}} {
		if idle := s.keepaliveIdle(side.p, side.places...); idle > 0 && idle <= a.By {
			return fmt.Sprintf("ageing by %s would lie: the %s's keepalive sends a probe after %s; wait instead, with time_scale",
				a.By, side.name, idle)
		}
	}
	return ""
}

// DeleteStale deletes the entries whose reply would come from a pod that is no endpoint any more. kube-proxy does
// this for UDP (pkg/proxy/conntrack), and leaves TCP alone.
type DeleteStale struct{}

func (*DeleteStale) describe() string {
	return "delete the entries that lead to a pod which is no endpoint any more, as kube-proxy does for UDP"
}

func (*DeleteStale) check(Scenario) string { return "" }
