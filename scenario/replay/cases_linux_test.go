package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// refused and unsupported are what becomes of a case that gives no verdict.
const (
	refused     verdict.Verdict = "refused"
	unsupported verdict.Verdict = "unsupported"
)

// cases are what must become of the scenarios in testdata/cases, and words that must be in the reason.
var cases = []struct {
	file, name string
	want       verdict.Verdict
	words      string
}{
	{"nobody-all-listed", "", refused, "expect.outcome: this is expected of nobody"},
	{"nobody-no-connect", "", refused, "no step opens a connection"},
	{"nobody-program-left", "program-left", verdict.Inconclusive, "connection 1 was not tested: nothing was broken before its program closed it"},
	{"share-and-errno", "", refused, "36 connections could"},
	{"share-and-errno-enough", "fifteen-minutes", verdict.Pass, "chance allows 21 to 56"},
	{"exec-fails", "exec-false", verdict.Fail, "exit code 1"},
	{"exec-fails", "exec-missing", unsupported, "nosuchcmd"},
	{"exec-checked", "exec-checked", verdict.Pass, ""},
	{"exec-checked", "exec-killed", verdict.Fail, "SIGKILL"},
	{"exec-checked", "exec-dies", verdict.Fail, "SIGSEGV"},
	{"time-scale", "", refused, "with time_scale 25, 35, 50, 70, 175, 350 all are exact"},
	{"time-scale-exact", "balancer-350", verdict.Pass, ""},
	{"entry-gone", "established-by-sysctl", verdict.Pass, ""},
	{"entry-gone-short", "udp-by-sysctl", verdict.Pass, ""},
	{"entry-gone-short", "max-retrans", verdict.Pass, ""},
	{"entry-gone-short", "time-wait", verdict.Pass, ""},
	{"affinity-one-day", "affinity-one-day", verdict.Pass, ""},
	{"affinity-kept", "affinity-kept", verdict.Pass, ""},
	{"affinity-kept", "affinity-added-up", verdict.Pass, ""},
	{"affinity-kept", "affinity-not-added-up", verdict.Pass, ""},
	{"affinity-kept", "affinity-scaled", verdict.Pass, ""},
	{"rule-rewritten", "never-met", verdict.Fail, "1 packets"},
	{"rule-rewritten", "met", verdict.Pass, ""},
	{"exec-checked", "exec-loud", verdict.Inconclusive, "it printed more than the 65536 bytes"},
}

// TestKernelCases: each case ends as a kernel shows it to end, and none as it must not.
func TestKernelCases(t *testing.T) {
	for _, c := range cases {
		t.Run(c.file+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains([]string{"affinity-one-day", "affinity-added-up"}, c.name) && !hostsRoot(t) {
				c.want, c.words = unsupported, "only root can" // the lists belong to the machine's root
			}
			if got, reason := outcomeOf(t, c.file, c.name); got != c.want || !strings.Contains(reason, c.words) {
				t.Errorf("%s: %s; want %s: %s", got, reason, c.want, c.words)
			}
		})
	}
}

// hostsRoot tells whether this is root on the machine, and not in a user namespace of somebody else.
func hostsRoot(t *testing.T) bool {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(ids))
	return os.Geteuid() == 0 && len(fields) > 1 && fields[1] == "0"
}

// TestKernelCasesLong: those that have to wait half a minute.
func TestKernelCasesLong(t *testing.T) {
	if os.Getenv("CTSIM_TEST_LONG") == "" {
		t.Skip("CTSIM_TEST_LONG is not set; entry-gone-short does the same in two seconds")
	}
	if got, reason := outcomeOf(t, "entry-gone", "udp-default"); got != verdict.Pass {
		t.Errorf("%s: %s", got, reason)
	}
}

// outcomeOf is the verdict on a case, or why it has none.
func outcomeOf(t *testing.T, file, name string) (v verdict.Verdict, reason string) {
	data, err := os.ReadFile(filepath.Join("testdata/cases", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lib, err := scenario.Parse(file+".yaml", data)
	if err != nil {
		return refused, err.Error()
	}
	needKernel(t)
	s, found := lib.Find(name)
	if !found {
		t.Fatalf("%s has no scenario %s", file, name)
	}
	p := builtin.Plan(t, s)
	e, err := Run(context.Background(), p, Options{})
	var no *build.Unsupported
	if errors.As(err, &no) {
		return unsupported, no.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := result.New(p, e)
	return r.Verdict, r.Reason
}
