package iptables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/kube"
)

// fakeTables is a kernel made of text: it takes edits under iptables' conditions.
type fakeTables struct {
	tables []savedTable
}

func newFake(rs RuleSet) *fakeTables { return &fakeTables{tables: rs.asSaved()} }

func (f *fakeTables) apply(e edit) error {
	c := findChain(f.tables, e.table, e.chain)
	if (c == nil) != (e.op == opNewChain) {
		return fmt.Errorf("edit %+v: chain is there: %v", e, c != nil)
	}
	switch e.op {
	case opNewChain:
		for i := range f.tables {
			if f.tables[i].name == e.table {
				f.tables[i].chains = append(f.tables[i].chains, savedChain{name: e.chain, policy: "-"})
			}
		}
		sortSaved(f.tables)
		return nil
	case opDeleteChain:
		for i := range f.tables {
			if f.tables[i].name != e.table {
				continue
			}
			for _, other := range f.tables[i].chains {
				if other.name != e.chain && jumpsTo(other.texts(), e.chain) {
					return fmt.Errorf("chain %s is deleted while %s jumps to it", e.chain, other.name)
				}
			}
			f.tables[i].chains = slices.DeleteFunc(f.tables[i].chains, func(c savedChain) bool { return c.name == e.chain })
		}
		return nil
	case opAppend:
		e.number = len(c.rules) + 1
	}
	last := len(c.rules)
	if e.op == opInsert || e.op == opAppend {
		last++
	}
	if e.number < 1 || e.number > last {
		return fmt.Errorf("edit %+v: the chain has %d rules", e, len(c.rules))
	}
	i, r := e.number-1, savedRule{text: e.rule.saved()}
	switch e.op {
	case opAppend, opInsert:
		c.rules = slices.Insert(c.rules, i, r)
	case opReplace:
		c.rules[i] = r
	case opDelete:
		c.rules = slices.Delete(c.rules, i, i+1)
	}
	if _, target, found := strings.Cut(r.text, "-j KUBE-"); found && findChain(f.tables, e.table, "KUBE-"+target) == nil {
		return fmt.Errorf("edit %+v jumps to a chain that is not there", e)
	}
	return nil
}

// hole says where a packet for a service would fall through at this moment: in a chain that picks an endpoint, or
// translates to one, and that a packet can reach.
func (f *fakeTables) hole() string {
	for _, t := range f.tables {
		for _, c := range reachable(t) {
			pick, sep := strings.HasPrefix(c.name, "KUBE-SVC-"), strings.HasPrefix(c.name, "KUBE-SEP-")
			catches := func(r string) bool {
				return sep && strings.Contains(r, "-j DNAT") ||
					pick && strings.Contains(r, "-j KUBE-SEP-") && !strings.Contains(r, "statistic") && !strings.Contains(r, "recent")
			}
			if (pick || sep) && !slices.ContainsFunc(c.texts(), catches) {
				return fmt.Sprintf("%s has no rule for every packet:\n%s", c.name, strings.Join(c.texts(), "\n"))
			}
		}
	}
	return ""
}

// reachable are the chains that packets can come to, beginning with the built-in ones.
func reachable(t savedTable) []savedChain {
	isIn := func(chains []savedChain, name string) bool {
		return slices.ContainsFunc(chains, func(c savedChain) bool { return c.name == name })
	}
	var out []savedChain
	for _, c := range t.chains {
		if c.policy != "-" {
			out = append(out, c)
		}
	}
	for i := 0; i < len(out); i++ {
		for _, c := range t.chains {
			if jumpsTo(out[i].texts(), c.name) && !isIn(out, c.name) {
				out = append(out, c)
			}
		}
	}
	return out
}

// runEdits edits from's rules into to's, and checks every step. It gives the number of calls.
func runEdits(t *testing.T, from, to RuleSet) int {
	t.Helper()
	f := newFake(from)
	todo := stages(changes(f.tables, to))
	for _, s := range todo {
		for _, l := range s {
			for _, e := range l {
				if err := f.apply(e); err != nil {
					t.Fatal(err)
				}
				if hole := f.hole(); hole != "" {
					t.Fatalf("after edit %+v: %s", e, hole)
				}
			}
		}
	}
	if diff := cmp.Diff(to.Save(), savedText(f.tables)); diff != "" {
		t.Errorf("rules after the edits (-want +got):\n%s", diff)
	}
	return countCalls(todo)
}

// TestEditsMatrix edits the rules of each case into those of each other case.
func TestEditsMatrix(t *testing.T) {
	for _, from := range matrix() {
		for _, to := range matrix() {
			t.Run(from.name+"/"+to.name, func(t *testing.T) {
				n := runEdits(t, Rules(from.cfg, from.services...), Rules(to.cfg, to.services...))
				if from.name == to.name && n != 0 {
					t.Errorf("%d calls for no change", n)
				}
			})
		}
	}
}

// TestEditsRandom edits between random choices of endpoints.
func TestEditsRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := myservice(8).Endpoints
	pick := func() RuleSet {
		s := myservice(0)
		s.Endpoints = slices.DeleteFunc(slices.Clone(all), func(netip.AddrPort) bool { return rnd.IntN(2) == 0 })
		return Rules(kube.ProxyConfig{ClusterCIDR: clusterCIDR}, s)
	}
	for range 500 {
		runEdits(t, pick(), pick())
	}
}

// TestEditsAreFew: the price of common changes, in calls.
func TestEditsAreFew(t *testing.T) {
	cfg := kube.ProxyConfig{ClusterCIDR: clusterCIDR}
	without := func(i int) RuleSet {
		s := myservice(3)
		s.Endpoints = slices.Delete(s.Endpoints, i, i+1)
		return Rules(cfg, s)
	}
	three := Rules(cfg, myservice(3))
	for _, c := range []struct {
		name     string
		from, to RuleSet
		want     int
	}{
		{"first service with two endpoints", Rules(cfg), Rules(cfg, myservice(2)), 11},
		{"first of three endpoints gone", three, without(0), 2},
		{"second of three endpoints gone", three, without(1), 3},
		{"third of three endpoints gone", three, without(2), 4},
		{"a third endpoint", without(2), three, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := runEdits(t, c.from, c.to); got != c.want {
				t.Errorf("%d calls, want %d", got, c.want)
			}
		})
	}
}

// TestEditsLeaveOthersAlone: rules that are not kube-proxy's stay, and lost ones of built-in chains come back.
func TestEditsLeaveOthersAlone(t *testing.T) {
	rs := Rules(kube.ProxyConfig{}, myservice(1))
	have, err := parseSaved(strings.NewReplacer(
		":INPUT ACCEPT", ":MINE - [0:0]\n:INPUT ACCEPT",
		"-A INPUT -j KUBE-FIREWALL", "-A INPUT -j MINE\n-A MINE -j RETURN",
		"-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n", "",
	).Replace(rs.Save()))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTables{tables: have}
	for _, s := range stages(changes(have, rs)) {
		for _, e := range slices.Concat(s...) {
			if err := f.apply(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantInput := append([]string{"-j KUBE-FIREWALL", "-j MINE"}, newFakeTexts(rs, "INPUT")[1:]...)
	if diff := cmp.Diff(wantInput, findChain(f.tables, "filter", "INPUT").texts()); diff != "" {
		t.Errorf("INPUT (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(newFakeTexts(rs, "FORWARD"), findChain(f.tables, "filter", "FORWARD").texts()); diff != "" {
		t.Errorf("FORWARD (-want +got):\n%s", diff)
	}
	if findChain(f.tables, "filter", "MINE") == nil {
		t.Error("a chain of others is gone")
	}
}

func newFakeTexts(rs RuleSet, chain string) []string {
	return findChain(newFake(rs).tables, "filter", chain).texts()
}

func TestTransactions(t *testing.T) {
	const text = "*filter\n-A A\nCOMMIT\n*nat\n:A - [0:0]\n-A A\n-A A\nCOMMIT\n"
	const want = "*filter\n-A A\nCOMMIT\n*nat\n:A - [0:0]\n-A A\nCOMMIT\n*nat\n-A A\nCOMMIT\n"
	for size, want := range map[int]string{2: want, 3: text, 100: text} {
		if diff := cmp.Diff(want, transactions(text, size)); diff != "" {
			t.Errorf("of %d lines (-want +got):\n%s", size, diff)
		}
	}
}

func TestRestoreText(t *testing.T) {
	had, has := myservice(3), myservice(3)
	has.Endpoints = has.Endpoints[:1]
	has.NodePort = 30222
	from, to := Rules(kube.ProxyConfig{}, had), Rules(kube.ProxyConfig{NoInvalidDrop: true}, has)
	const want = `*filter
-D KUBE-FORWARD 1
COMMIT
*nat
:KUBE-EXT-OU4YAF3JEHVEJFUL - [0:0]
-A KUBE-EXT-OU4YAF3JEHVEJFUL -m comment --comment "masquerade traffic for default/myservice external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-OU4YAF3JEHVEJFUL -j KUBE-SVC-OU4YAF3JEHVEJFUL
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/myservice" -m tcp --dport 30222 -j KUBE-EXT-OU4YAF3JEHVEJFUL
-R KUBE-SVC-OU4YAF3JEHVEJFUL 1 -m comment --comment "default/myservice -> 172.18.166.130:2222" -j KUBE-SEP-PJ4FHXCE35HSVDDE
-D KUBE-SVC-OU4YAF3JEHVEJFUL 3
-D KUBE-SVC-OU4YAF3JEHVEJFUL 2
-F KUBE-SEP-CNNS4CMD3RRIT5VE
-X KUBE-SEP-CNNS4CMD3RRIT5VE
-F KUBE-SEP-STD4CE2EJGJOOEBY
-X KUBE-SEP-STD4CE2EJGJOOEBY
COMMIT
`
	if diff := cmp.Diff(want, restoreText(stages(changes(from.asSaved(), to)))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
