package rulepath

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/probe/nlgroup"
)

var update = flag.Bool("update", false, "write testdata anew from what this kernel says")

// TestKernelRecording makes testdata/flush.txt with -update: the rules' text, the kernel's messages about its rules and
// about the packets of one connection before and after a flush. See TestReplay.
func TestKernelRecording(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	w := newWorld(t)
	w.install(t, iptables.NFT, backends...)
	watcher := w.watch(t, toService)
	var traces strings.Builder
	second, err := nlgroup.Join(w.master, nlgroup.Options{Groups: []int{groupTrace}, Buffer: listenBuffer}, func(b []byte) error {
		fmt.Fprintf(&traces, "trace %s\n", hex.EncodeToString(b))
		return nil
	})
	check(t, err)
	c := w.dial(t, "client", serviceAddr)
	exchange(t, c)
	w.flush(t)
	exchange(t, c)
	check(t, watcher.Drain())
	check(t, second.Close())

	var out strings.Builder
	fmt.Fprintf(&out, "own %s\n", watcher.table)
	for line := range strings.Lines(w.learn(t, watcher)) {
		out.WriteString("save " + line)
	}
	check(t, watcher.control.dump(msgGetRule, msgNewRule, func(payload []byte) error {
		fmt.Fprintf(&out, "rule %s\n", hex.EncodeToString(payload))
		return nil
	}))
	out.WriteString(traces.String())
	check(t, os.MkdirAll("testdata", 0o755))
	check(t, os.WriteFile("testdata/flush.txt", []byte(out.String()), 0o644))
	var want strings.Builder
	for _, p := range readRecording(t).paths(t) {
		want.WriteString(describe(p))
	}
	check(t, os.WriteFile("testdata/flush.want", []byte(want.String()), 0o644))
}
