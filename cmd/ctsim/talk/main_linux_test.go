package talk

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ctsim/ctsim/cmd/ctsim/rootless"
)

// TestMain: where tests run in namespaces of their own, as `unshare -Urnm` makes them, the loopback is down at first.
func TestMain(m *testing.M) {
	if foreign, err := rootless.ForeignRoot(); err == nil && foreign && os.Geteuid() == 0 {
		if lo, err := netlink.LinkByName("lo"); err == nil {
			_ = netlink.LinkSetUp(lo) // where that is forbidden the tests tell
		}
	}
	os.Exit(m.Run())
}
