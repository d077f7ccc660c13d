package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/doctor"
)

// examined runs a command that writes doctor's JSON, and gives what it found by check.
func examined(t *testing.T, cmd *exec.Cmd) (found map[string]doctor.Finding, code int) {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	code = systemtest.ExitCode(t, err)
	var r doctor.Report
	if err := json.Unmarshal(out, &r); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: exit code %d: %v\n%s%s", cmd.Args, code, err, out, &stderr)
	}
	found = map[string]doctor.Finding{}
	for _, f := range r.Findings {
		found[f.Check] = f
	}
	return found, code
}

// TestKernelDoctor: a machine that runs these tests has all that is needed, asking leaves nothing and changes nothing.
func TestKernelDoctor(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		if _, code := examined(t, b.Command(context.Background(), "doctor", "-o", "json")); code != cmdline.ExitPass {
			t.Fatalf("exit code %d", code) // and modules are loaded, which may bring sysctls
		}
		before, host := systemtest.LeavingsNow(t), hostNow(t)
		found, code := examined(t, b.Command(context.Background(), "doctor", "-o", "json"))
		for name, f := range found {
			// The kernel's own trace is for the real root, and BTF not on every kernel.
			if f.Status != doctor.OK && name != "bpf" && name != "btf" && name != "many-descriptors" {
				t.Errorf("%+v", f)
			}
		}
		if len(found) != len(doctor.Names()) || code != cmdline.ExitPass {
			t.Errorf("%d findings, exit code %d", len(found), code)
		}
		if trace := found["bpf"]; b.Who.UID != 0 && trace.Mend != "sudo "+b.Path+" doctor -o json" {
			t.Errorf("without root: %+v", trace)
		}
		b.LeavesNothing(t, before)
		systemtest.Eventually(t, "the host changed", func() any { return cmp.Diff(host, hostNow(t)) }, func(v any) bool { return v == "" })
	})
}

// TestKernelDoctorFindsOut: what is taken away is found missing, with a command that brings it back, and hides nothing
// else. CTSIM is the binary, FAKE a folder with an iptables that lacks something.
func TestKernelDoctorFindsOut(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	fake := fakeIPTables(t)
	ordinary := "sudo " + b.Path + " doctor -o json"
	for _, c := range []struct {
		name, script string
		want         []doctor.Finding // with a part of the error
		others       string           // a check that works all the same
	}{
		{"iptables is not there", `unshare -m sh -c 'mount -t tmpfs none /usr/sbin && PATH=/usr/bin:/bin exec $CTSIM'`, []doctor.Finding{
			{Check: "iptables", Status: doctor.Missing, Error: "iptables is not installed", Mend: installIPTables(t)},
			{Check: "iptables-legacy", Status: doctor.Missing, Error: "no iptables-legacy or iptables in PATH", Mend: installIPTables(t)},
			{Check: "recent-match", Status: doctor.Unknown, Error: "could not be asked without iptables"},
			{Check: "rule-trace", Status: doctor.Unknown, Error: "could not be asked without iptables-nft"},
		}, "conntrack-events"},
		{"parts of iptables are not there", `PATH=$FAKE:$PATH exec $CTSIM`, []doctor.Finding{
			{Check: "statistic-match", Status: doctor.Missing, Error: "Couldn't load match `statistic'", Mend: installIPTables(t)},
			{Check: "recent-match", Status: doctor.Missing, Error: "missing kernel module?", Mend: "sudo modprobe xt_recent"},
			{Check: "masquerade-target", Status: doctor.Missing, Error: "unknown option", Mend: installIPTables(t)},
		}, "comment-match"},
		{"few descriptors", `ulimit -n 100; exec $CTSIM`, []doctor.Finding{
			{Check: "file-descriptors", Status: doctor.Missing, Error: "100 open files are allowed, want 256", Mend: "sudo prlimit --pid $$ --nofile=256"},
		}, "iptables"},
		{"sysctls are read-only", `unshare -m sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec $CTSIM'`, []doctor.Finding{
			{Check: "sysctls", Status: doctor.Missing, Error: "net.ipv4.ip_forward=1", Mend: "sudo mount -o remount,rw /proc/sys"},
			{Check: "conntrack-sysctls", Status: doctor.Missing, Error: "read-only", Mend: "sudo mount -o remount,rw /proc/sys"},
			{Check: "conntrack-timestamp", Status: doctor.Missing, Error: "read-only", Mend: "sudo mount -o remount,rw /proc/sys"},
		}, "conntrack-events"},
		{"no network namespaces", `unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_net_namespaces && exec $CTSIM'`, []doctor.Finding{
			{Check: "network-namespaces", Status: doctor.Missing, Error: "(sysctl user.max_net_namespaces is 0)", Mend: "sudo sysctl -w user.max_net_namespaces=10000"},
			{Check: "veth", Status: doctor.Unknown, Error: "could not be asked without network-namespaces"},
		}, "file-descriptors"},
		{"no packet sockets", `unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-net_raw --inh-caps=-net_raw $CTSIM'`, []doctor.Finding{
			{Check: "user-namespaces", Status: doctor.Missing, Error: "root lacks CAP_NET_RAW", Mend: "sudo sysctl -w user.max_user_namespaces=10000"},
			{Check: "packet-sockets", Status: doctor.Missing, Error: "socket(AF_PACKET): operation not permitted", Mend: ordinary},
		}, "conntrack-events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := b.Command(context.Background())
			cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", strings.ReplaceAll(c.script, "$CTSIM", b.Path+" doctor -o json")}
			cmd.Env = append(cmd.Env, "FAKE="+fake)
			found, code := examined(t, cmd)
			if code != cmdline.ExitUnsupported {
				t.Errorf("exit code %d", code)
			}
			b.compare(t, found, c.want, c.others)
		})
	}
	t.Run("no user namespaces", func(t *testing.T) {
		found, code := examined(t, b.forbidden("doctor -o json"))
		if code != cmdline.ExitUnsupported {
			t.Errorf("exit code %d", code)
		}
		b.compare(t, found, []doctor.Finding{
			{Check: "user-namespaces", Status: doctor.Missing, Error: "(sysctl user.max_user_namespaces is 0)", Mend: "sudo sysctl -w user.max_user_namespaces=10000"},
			{Check: "network-namespaces", Status: doctor.Missing, Error: "operation not permitted", Mend: ordinary},
		}, "file-descriptors")
	})
	t.Run("no BTF", func(t *testing.T) {
		cmd := b.Command(context.Background())
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c",
			"unshare -m sh -c 'mkdir -p /sys/kernel/btf; mount -t tmpfs none /sys/kernel/btf; exec " + b.Path + " doctor -o json'"}
		found, code := examined(t, cmd)
		if code != cmdline.ExitPass {
			t.Errorf("optional, and the exit code is %d", code)
		}
		b.compare(t, found, []doctor.Finding{
			{Check: "btf", Status: doctor.Missing, Error: "no BTF found", Mend: "# boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of distributions are"},
		}, "conntrack-events")
	})
}

func (b *binary) compare(t *testing.T, found map[string]doctor.Finding, want []doctor.Finding, other string) {
	t.Helper()
	for _, w := range want {
		got := found[w.Check]
		if got.Status != w.Status || got.Mend != w.Mend || !strings.Contains(got.Error, w.Error) {
			t.Errorf("%s: got %+v\nwant %+v", w.Check, got, w)
		}
	}
	if found[other].Status != doctor.OK {
		t.Errorf("%s is hidden: %+v", other, found[other])
	}
}

// fakeIPTables is a folder with an iptables that fails as one without some of its parts would.
func fakeIPTables(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		script := `#!/bin/sh
case "$*" in
*statistic*) echo "iptables v1.8.9: Couldn't load match ` + "\\`statistic'" + `:No such file or directory" >&2; exit 2 ;;
*recent*) echo "Warning: Extension recent revision 0 not supported, missing kernel module?" >&2; exit 4 ;;
*random-fully*) echo "iptables v1.8.9: unknown option \"--random-fully\"" >&2; exit 2 ;;
esac
exec ` + path + ` "$@"
`
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// installIPTables is the command that a machine with apt-get is told.
func installIPTables(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/bin/apt-get"); err != nil {
		t.Skip("the commands expected are Debian's")
	}
	return "sudo apt-get install iptables"
}
