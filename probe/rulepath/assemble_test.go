package rulepath

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// said is a message of the kernel in a test.
func said(id uint32, table, chain string, p *Packet, verdict string) message {
	m := message{id: id, hop: Hop{Table: table, Chain: chain, Kind: Rule, Handle: 1, Verdict: verdict}}
	if p != nil {
		m.hasPacket, m.packet = true, *p
	}
	return m
}

func assemble(messages ...message) []Path {
	a := assembler{node: "node", own: "ctsim-1"}
	for i, m := range messages {
		a.add(m, time.Unix(int64(i), 0))
	}
	return a.take()
}

func hopsOf(paths []Path) (all []string) {
	for _, p := range paths {
		var hops []string
		for _, h := range p.Hops {
			hops = append(hops, h.Table+" "+h.Chain)
		}
		all = append(all, strings.Join(hops, ", "))
	}
	return all
}

func TestAssemble(t *testing.T) {
	address := netip.MustParseAddrPort
	one := Packet{Protocol: protocolTCP, Src: address("1.1.1.1:1"), Dst: address("2.2.2.2:2"), IPID: 7, Seq: 5}
	translated, two := one, one
	translated.Dst = address("3.3.3.3:2")
	two.IPID = 8
	foreign := translated
	foreign.Src = address("4.4.4.4:1")
	for _, c := range []struct {
		name     string
		messages []message
		want     []string
	}{
		{"nothing", nil, nil},
		{"own table alone", []message{said(1, "ctsim-1", "prerouting", &one, "CONTINUE")}, []string{""}},
		{"two packets interleaved", []message{
			said(1, "nat", "PREROUTING", &one, "JUMP X"), said(2, "nat", "PREROUTING", &two, "JUMP X"),
			said(1, "nat", "X", nil, "ACCEPT"), said(2, "nat", "X", nil, "ACCEPT"),
		}, []string{"nat PREROUTING, nat X", "nat PREROUTING, nat X"}},
		{"one ID, two packets", []message{
			said(1, "filter", "FORWARD", &one, "ACCEPT"), said(1, "filter", "FORWARD", &two, "ACCEPT"),
		}, []string{"filter FORWARD", "filter FORWARD"}},
		{"one packet, two IDs", []message{
			said(1, "nat", "PREROUTING", &one, "JUMP X"), said(1, "nat", "X", nil, "ACCEPT"),
			said(2, "filter", "FORWARD", &translated, "JUMP Y"), said(2, "filter", "Y", nil, "ACCEPT"),
		}, []string{"nat PREROUTING, nat X, filter FORWARD, filter Y"}},
		{"a look-alike of strangers", []message{
			said(1, "nat", "PREROUTING", &one, "ACCEPT"), said(2, "filter", "FORWARD", &foreign, "ACCEPT"),
		}, []string{"nat PREROUTING", "filter FORWARD"}},
		{"the same packet twice", []message{
			said(1, "nat", "PREROUTING", &one, "ACCEPT"), said(2, "filter", "FORWARD", &translated, "ACCEPT"),
			said(1, "nat", "PREROUTING", &one, "ACCEPT"), said(2, "filter", "FORWARD", &translated, "ACCEPT"),
		}, []string{"nat PREROUTING, filter FORWARD", "nat PREROUTING, filter FORWARD"}},
		{"beginning lost", []message{said(1, "nat", "X", nil, "ACCEPT"), said(1, "filter", "FORWARD", &one, "ACCEPT")},
			[]string{"nat X, filter FORWARD"}},
	} {
		if got := hopsOf(assemble(c.messages...)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAssembleBounds(t *testing.T) {
	a := assembler{}
	for i := range maxPaths + 3 {
		a.add(said(uint32(i), "nat", "PREROUTING", &Packet{IPID: uint16(i), Seq: uint32(i)}, "ACCEPT"), time.Time{})
	}
	if n := len(a.take()); n != maxPaths || a.left != 3 {
		t.Errorf("%d paths, %d left out", n, a.left)
	}
	a.add(said(1, "nat", "PREROUTING", nil, "ACCEPT"), time.Time{})
	if n := len(a.take()); n != 1 {
		t.Errorf("%d paths after the first were taken", n)
	}
}

func TestPathString(t *testing.T) {
	p := Path{Node: "n", Packet: Packet{Src: netip.MustParseAddrPort("1.1.1.1:1"), Dst: netip.MustParseAddrPort("2.2.2.2:2"), Flags: 0x18}}
	if got, want := p.String(), "n 1.1.1.1:1 → 2.2.2.2:2 [P.]: no rule"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if p.Verdict() != "" || p.Met("nat") || len(p.Lines()) != 0 {
		t.Error("a path without hops has something")
	}
	p.Tracking.State = "NEW"
	p.Hops = []Hop{
		{Table: "filter", Chain: "INPUT", Kind: Rule, Handle: 3, Verdict: "JUMP X"},
		{Table: "filter", Chain: "X", Kind: Rule, Handle: 4, Text: "-j DROP", Verdict: "DROP"},
	}
	if got, want := p.String(), "n 1.1.1.1:1 → 2.2.2.2:2 [P.] NEW: filter INPUT → X (DROP)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	want := []string{"filter INPUT rule: handle 3 → X", "filter X rule: -j DROP → DROP"}
	if got := p.Lines(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	policy := Hop{Table: "filter", Chain: "FORWARD", Kind: Policy, Verdict: "ACCEPT"}
	if got, want := policy.String(), "filter FORWARD policy → ACCEPT"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFlags(t *testing.T) {
	for flags, want := range map[Flags]string{0: "", 0x02: "S", 0x12: "S.", 0x18: "P.", 0x04: "R", 0x11: "F.", 0xff: "FSRPUEW."} {
		if got := flags.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint8(flags), got, want)
		}
	}
}

func TestVerdictName(t *testing.T) {
	for want, c := range map[string]struct {
		code  int32
		chain string
	}{
		"ACCEPT": {1, ""}, "DROP": {0, ""}, "CONTINUE": {-1, ""}, "RETURN": {-5, ""}, "JUMP X": {-3, "X"},
		"GOTO Y": {-4, "Y"}, "QUEUE": {3 | 5<<16, ""}, "verdict -9": {-9, ""}, "verdict 77": {77, ""},
	} {
		if got := verdictName(c.code, c.chain); got != want {
			t.Errorf("%d: %q, want %q", c.code, got, want)
		}
	}
}
