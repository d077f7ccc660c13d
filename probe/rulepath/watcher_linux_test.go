package rulepath

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/probe/conntrack"
)

var throughNat = []string{"nat PREROUTING", "nat KUBE-SERVICES", "nat KUBE-SVC-", "nat KUBE-SEP-"}

// TestKernelKnownEntryDoesNotMeetNat is what the package is for: the nat table sees a connection's first packet, then
// nothing of it, then, its entry lost, the next packet as if it were the first.
func TestKernelKnownEntryDoesNotMeetNat(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends...)
	watcher := w.watch(t, toService)

	c := w.dial(t, "client", serviceAddr)
	exchange(t, c)
	paths, err := watcher.Paths()
	check(t, err)
	for _, p := range paths {
		if first := p.Packet.Flags.String() == "S"; p.Met("nat") != first || !p.Met("filter") {
			t.Errorf("%s\n%s", p, strings.Join(p.Lines(), "\n"))
		}
	}
	syn := paths[0]
	checkTranslated(t, syn)
	checkState(t, syn, "NEW")
	if syn.Packet.Flags.String() != "S" || syn.Packet.Src.String() != c.LocalAddr().String() || syn.Packet.Length != 0 {
		t.Errorf("first packet %+v", syn.Packet)
	}
	i := slices.IndexFunc(paths, func(p Path) bool { return p.Packet.Flags.String() == "P." })
	if i < 0 || paths[i].Packet.Seq != syn.Packet.Seq+1 || paths[i].Packet.Length != 10 || paths[i].Packet.IPID == 0 {
		t.Fatalf("data packet: %v", paths)
	}
	checkState(t, paths[i], "ESTABLISHED")
	if !slices.Contains(chainsOf(paths[i]), "filter KUBE-FORWARD") {
		t.Errorf("data packet: %s", paths[i])
	}

	w.flush(t)
	exchange(t, c)
	again := onlyPath(t, watcher, "P.")
	checkTranslated(t, again)
	checkState(t, again, "NEW")
	if again.Packet.Seq != syn.Packet.Seq+11 {
		t.Errorf("after the flush: %+v", again.Packet)
	}
}

// checkTranslated looks for the way to an endpoint, each rule with its text.
func checkTranslated(t *testing.T, p Path) {
	t.Helper()
	lines := strings.Join(p.Lines(), "\n")
	got := chainsOf(p)
	i := slices.Index(got, throughNat[0])
	if i < 0 || len(got) < i+4 || !slices.Equal(got[i:i+4], throughNat) {
		t.Fatalf("%s\n%s", p, lines)
	}
	var last Hop // in nat
	for _, h := range p.Hops {
		if h.Kind == Rule && h.Text == "" {
			t.Errorf("no text: %s", h)
		}
		if h.Table == "nat" && strings.HasPrefix(h.Chain, "KUBE-SEP-") {
			last = h
		}
		if h.Time.IsZero() {
			t.Errorf("no time: %s", h)
		}
	}
	_, to, _ := strings.Cut(last.Text, "-j DNAT --to-destination ")
	if to != p.Last.Dst.String() || last.Verdict != "ACCEPT" || p.Packet.Dst != serviceAddr || p.Last.Src != p.Packet.Src {
		t.Errorf("%v → %v\n%s", p.Packet, p.Last, lines)
	}
	if p.Node != "master" || p.In == 0 || p.Out == 0 || p.Verdict() != "ACCEPT" {
		t.Errorf("%+v", p)
	}
}

// checkState compares conntrack's state where the kernel tells it (6.16).
func checkState(t *testing.T, p Path, want string) {
	t.Helper()
	if p.Tracking.State == "" {
		t.Log("this kernel does not tell conntrack's state")
		return
	}
	if p.Tracking.State != want || p.Tracking.ID == 0 || p.Tracking.Reply {
		t.Errorf("%s: %+v, want %s", p.Packet, p.Tracking, want)
	}
}

func TestKernelNewOnly(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends...)
	watcher := w.watch(t, Match{Dst: serviceAddr, New: true})
	c := w.dial(t, "client", serviceAddr)
	exchange(t, c)
	w.flush(t)
	exchange(t, c)
	paths, err := watcher.Paths()
	check(t, err)
	if len(paths) < 2 || paths[0].Packet.Flags.String() != "S" {
		t.Fatal(paths)
	}
	for _, p := range paths {
		if !p.Met("nat") && p.Tracking.State != "" {
			t.Error(p)
		}
	}
}

func TestKernelFromTheNodeItself(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends[0])
	watcher := w.watch(t, toService)
	exchange(t, w.dial(t, "master", serviceAddr))
	p := onlyPath(t, watcher, "S")
	if got := chainsOf(p); !slices.Contains(got, "nat OUTPUT") || slices.Contains(got, "nat PREROUTING") || p.In != 0 {
		t.Errorf("%s\n%s", p, strings.Join(p.Lines(), "\n"))
	}
}

func TestKernelDropped(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends[0])
	watcher := w.watch(t, Match{Dst: emptyAddr})
	err := w.Namespace("client").Do(func() error {
		c, err := net.DialTimeout("tcp4", emptyAddr.String(), 20*time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Fatal(err)
	}
	p := onlyPath(t, watcher, "S")
	last := p.Hops[len(p.Hops)-1]
	if p.Verdict() != "DROP" || !strings.Contains(last.Text, "-j REJECT") || !strings.HasSuffix(p.String(), "(DROP)") {
		t.Errorf("%s\n%s", p, strings.Join(p.Lines(), "\n"))
	}
}

// TestKernelMatches changes what is traced, each time with one connection.
func TestKernelMatches(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends[0])
	watcher := w.watch(t)
	for name, c := range map[string]struct {
		matches []Match
		traced  bool
	}{
		"nothing":            {nil, false},
		"everything":         {[]Match{{}}, true},
		"address":            {[]Match{{Dst: netip.AddrPortFrom(serviceAddr.Addr(), 0)}}, true},
		"port":               {[]Match{{Dst: netip.AddrPortFrom(netip.Addr{}, serviceAddr.Port())}}, true},
		"mapped":             {[]Match{{Dst: netip.AddrPortFrom(netip.AddrFrom16(serviceAddr.Addr().As16()), 2222)}}, true},
		"source":             {[]Match{{Src: netip.AddrPortFrom(clientAddr, 0), Dst: serviceAddr}}, true},
		"another source":     {[]Match{{Src: netip.AddrPortFrom(serviceAddr.Addr(), 0), Dst: serviceAddr}}, false},
		"another address":    {[]Match{{Dst: emptyAddr}}, false},
		"another port":       {[]Match{{Dst: netip.AddrPortFrom(serviceAddr.Addr(), 2223)}}, false},
		"another protocol":   {[]Match{{Dst: serviceAddr, Protocol: protocolUDP}}, false},
		"one of two":         {[]Match{{Dst: emptyAddr}, toService}, true},
		"new":                {[]Match{{New: true}}, true},
		"translated address": {[]Match{{Dst: backends[0]}}, false},
	} {
		check(t, watcher.Trace(c.matches...))
		exchange(t, w.dial(t, "client", serviceAddr))
		if n := len(withFlags(t, watcher, "S")); (n == 1) != c.traced || n > 1 {
			t.Errorf("%s: %d packets", name, n)
		}
	}
	// The answers of the server, which know nothing of the service.
	check(t, watcher.Trace(Match{Src: backends[0]}))
	exchange(t, w.dial(t, "client", serviceAddr))
	p := onlyPath(t, watcher, "S.")
	if p.Met("nat") || p.Packet.Src != backends[0] || p.Tracking.State != "" && !p.Tracking.Reply {
		t.Errorf("%s %+v", p, p.Tracking)
	}
	for _, bad := range []Match{{Dst: netip.MustParseAddrPort("[::1]:80")}, {Dst: serviceAddr, Protocol: 1}} {
		if err := watcher.Trace(bad); !errors.Is(err, ErrMatch) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestKernelIptablesDoesNotSeeIt compares what iptables-save and iptables -S print, comments included.
func TestKernelIptablesDoesNotSeeIt(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends...)
	look := func() (all string) {
		for _, command := range []string{"iptables-nft-save", "iptables-nft -t nat -S", "iptables-nft -S"} {
			args := strings.Fields(command)
			check(t, w.master.Do(func() error {
				out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
				for line := range strings.Lines(string(out)) {
					if !strings.HasPrefix(line, "# Generated by") && !strings.HasPrefix(line, "# Completed on") {
						all += line
					}
				}
				return err
			}))
		}
		return all
	}
	before := look()
	watcher := w.watch(t, toService, Match{New: true})
	if during := look(); during != before {
		t.Errorf("before:\n%s\nduring:\n%s", before, during)
	}
	check(t, watcher.Close())
	if after := look(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestKernelNothingIsLeft looks for the table after Close, and after the process lost its sockets without it.
func TestKernelNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	has := func(table string) bool {
		tables, err := tablesOf(w.master)
		check(t, err)
		return tables[table]
	}
	for name, c := range map[string]struct {
		flags uint32
		end   func(w *Watcher)
	}{
		"closed":             {tableOwner, func(w *Watcher) { check(t, w.Close()); check(t, w.Close()) }},
		"without an owner":   {0, func(w *Watcher) { check(t, w.Close()) }},
		"without being told": {tableOwner, func(w *Watcher) { check(t, w.control.close()) }},
	} {
		watcher, err := watch(w.master, listenBuffer, c.flags)
		check(t, err)
		other := w.watch(t) // two do not disturb each other
		if !has(watcher.table) || !has(other.table) {
			t.Errorf("%s: no table", name)
		}
		c.end(watcher)
		if has(watcher.table) || !has(other.table) {
			t.Errorf("%s: table left, or the other's gone", name)
		}
		if err := watcher.Trace(toService); err == nil {
			t.Errorf("%s: traces after its end", name)
		}
		_ = watcher.Close() // what is not closed yet; there is no table to delete
	}
}

func TestKernelAvailable(t *testing.T) {
	for _, c := range []struct {
		flavour   iptables.Flavour
		available bool
	}{{iptables.NFT, true}, {iptables.Legacy, false}} {
		w := newWorld(t)
		if err := Available(w.master); !errors.Is(err, ErrUnavailable) {
			t.Errorf("without rules: %v", err)
		}
		w.install(t, c.flavour, backends...)
		if err := Available(w.master); (err == nil) != c.available || err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", c.flavour, err)
		}
		watcher, err := Watch(w.master)
		check(t, err)
		t.Cleanup(func() { check(t, watcher.Close()) })
		save, err := w.rules.Save()
		check(t, err)
		if err := watcher.Learn(save); (err == nil) != c.available || err != nil && !errors.Is(err, ErrRulesDiffer) {
			t.Errorf("%s: learn: %v", c.flavour, err)
		}
	}
}

// TestKernelRulesChange learns anew after a backend has come; what was learnt before still counts.
func TestKernelRulesChange(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends[0])
	watcher := w.watch(t, toService)
	old, err := w.rules.Save()
	check(t, err)
	exchange(t, w.dial(t, "client", serviceAddr))
	check(t, w.rules.Sync(ruleSet(backends[1:])))
	if err := watcher.Learn(old); !errors.Is(err, ErrRulesDiffer) {
		t.Errorf("old text: %v", err)
	}
	w.learn(t, watcher)
	exchange(t, w.dial(t, "client", serviceAddr))
	paths := withFlags(t, watcher, "S")
	if len(paths) != 2 || paths[0].Last.Dst != backends[0] || paths[1].Last.Dst != backends[1] {
		t.Fatal(paths)
	}
	for _, p := range paths {
		checkTranslated(t, p)
	}
}

// TestKernelLost keeps the reader from reading while the buffer overflows.
func TestKernelLost(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends[0])
	watcher, err := watch(w.master, 1, tableOwner) // the least there is
	check(t, err)
	t.Cleanup(func() { check(t, watcher.Close()) })
	check(t, watcher.Trace(toService))
	watcher.mu.Lock()
	for range 3 {
		exchange(t, w.dial(t, "client", serviceAddr))
	}
	watcher.mu.Unlock()
	if _, err := watcher.Paths(); err != nil {
		t.Error(err)
	}
	lost := watcher.Lost()
	if lost == 0 {
		t.Errorf("nothing lost with a buffer of %d", watcher.Buffer())
	}
	check(t, watcher.Close())
	if got := watcher.Lost(); got < lost {
		t.Errorf("lost %d, after Close %d", lost, got)
	}
}

// TestKernelTrackingID compares with conntrack's own ID where the kernel tells it.
func TestKernelTrackingID(t *testing.T) {
	w := newWorld(t)
	w.install(t, iptables.NFT, backends[0])
	watcher := w.watch(t, toService)
	c := w.dial(t, "client", serviceAddr)
	p := onlyPath(t, watcher, "S")
	if p.Tracking.State == "" {
		t.Skip("this kernel does not tell conntrack's ID")
	}
	flow := conntrack.NewTuple(conntrack.ProtocolTCP, c.LocalAddr().(*net.TCPAddr).AddrPort(), serviceAddr)
	e, err := conntrack.Get(w.master, flow)
	check(t, err)
	if e.ID != p.Tracking.ID || e.ID == 0 {
		t.Errorf("ID %d, conntrack says %d", p.Tracking.ID, e.ID)
	}
}
