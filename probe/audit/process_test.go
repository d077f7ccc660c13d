package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDescriptor(t *testing.T) {
	for link, want := range map[string]struct {
		kind  string
		inode uint64
		ok    bool
	}{
		"socket:[4711]":        {"socket", 4711, true},
		"net:[4026532246]":     {"net", 4026532246, true},
		"mnt:[4026532246]":     {},
		"pipe:[4711]":          {},
		"anon_inode:[eventfd]": {},
		"/tmp/socket:[4711]":   {},
		"/tmp/socket:[4711":    {},
		"socket:[]":            {},
		"socket:[-1]":          {},
		"":                     {},
	} {
		if kind, inode, ok := descriptor(link); ok != want.ok || ok && (kind != want.kind || inode != want.inode) {
			t.Errorf("%q: %s %d %v", link, kind, inode, ok)
		}
	}
}

func TestPodOf(t *testing.T) {
	const uid = "1f0c2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7"
	for cgroup, want := range map[string]string{
		"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f0c2a3b_4c5d_6e7f_8091_a2b3c4d5e6f7.slice/cri-containerd-ab.scope\n": uid,
		"0::/kubepods.slice/kubepods-pod1f0c2a3b_4c5d_6e7f_8091_a2b3c4d5e6f7.slice/crio-ab.scope\n":                                              uid,
		"4:memory:/kubepods/besteffort/pod" + uid + "/ab\n":                                                                                      uid,
		"0::/kubepods/pod" + uid + "/ab\n":                                       uid,
		"0::/kubelet/kubepods/burstable/pod0123456789abcdef0123456789abcdef/c\n": "0123456789abcdef0123456789abcdef",
		"0::/user.slice/user-1000.slice\n":                                       "",
		"0::/system.slice/podman.service\n":                                      "",
	} {
		if got := podOf(cgroup); got != want {
			t.Errorf("%q: %q, want %q", cgroup, got, want)
		}
	}
}

func TestParseMount(t *testing.T) {
	got, ok := parseMount(`41 29 0:4 net:[4026532177] /run/netns/a\040b rw shared:12 - nsfs nsfs rw`)
	if want := (mount{"net:[4026532177]", "/run/netns/a b", "nsfs", "rw"}); !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := parseMount("41 29 0:4 /"); ok {
		t.Error("half a line")
	}
	for options, want := range map[string]bool{"rw": false, "rw,hidepid=2": true, "rw,gid=4,hidepid=invisible": true, "rw,hidepid=0": false, "rw,hidepid=off": false} {
		if hidesProcesses(options) != want {
			t.Errorf("%s: %v", options, !want)
		}
	}
}

func TestBuiltIn(t *testing.T) {
	for line, want := range map[string]bool{
		"0000000000000000 t ctnetlink_dump_table":                         true,
		"0000000000000000 t ctnetlink_dump_table\t[nf_conntrack_netlink]": false,
		"0000000000000000 t ctnetlink_dump_table_cold":                    false,
		"": false,
	} {
		if builtIn(line, "ctnetlink_dump_table") != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}

func TestCommandName(t *testing.T) {
	for comm, want := range map[string]string{"ssh\n": "ssh", "a\nb\n": "a\nb", "evil) S 1\n": "evil) S 1", "": ""} {
		if got := commandName([]byte(comm)); got != want {
			t.Errorf("%q: %q", comm, got)
		}
	}
}

func TestParseInside(t *testing.T) {
	const text = "hooks\nhook 4 ipv4_conntrack_defrag\nhook 4 ipv4_conntrack_in [nf_conntrack]\nhook 6 nft_do_chain_ipv6\n" +
		"socket 4097 1 0 1800000\nsocket 4098 1 15000 1800000\nsocket 4099 0 0 1800000\n"
	got, err := parseInside([]byte(text), 7200*time.Second)
	want := kernelSays{known: true, tracksIPv4: true, settings: map[uint64]Settings{
		4097: {On: true, Idle: 7200 * time.Second},
		4098: {On: true, Idle: 60 * time.Second, Own: true},
		4099: {Idle: 7200 * time.Second},
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(kernelSays{})); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := parseInside([]byte("hooks\nhook 4 ...\n"), 0); err != nil || got.known {
		t.Errorf("cut short: %+v, %v", got, err)
	}
	if got, err := parseInside(nil, 0); err != nil || got.known {
		t.Errorf("no socket: %+v, %v", got, err)
	}
	for _, bad := range []string{"nonsense\n", "socket 1 2\n", "hook x y\n"} {
		if _, err := parseInside([]byte(bad), 0); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// FuzzProcess: what the kernel, or a process by its name, might write into a file of /proc does no harm.
func FuzzProcess(f *testing.F) {
	f.Add(`41 29 0:4 net:[4026532177] /run/netns/a\040b rw shared:12 - nsfs nsfs rw`)
	f.Add("24 30 0:22 / /proc rw,nosuid - proc proc rw,hidepid=invisible")
	f.Add("socket:[4711]")
	f.Add("0::/kubepods.slice/kubepods-pod1f0c2d3e_4a5b_6c7d_8e9f_0a1b2c3d4e5f.slice/cri")
	f.Add("ffffffff81000000 T inet_diag_handler_cmd\t[inet_diag]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if m, ok := parseMount(text); ok {
			_ = hidesProcesses(m.options)
		}
		if kind, _, ok := descriptor(text); ok && kind != "socket" && kind != "net" {
			t.Errorf("%q is a descriptor of kind %q", text, kind)
		}
		if pod := podOf(text); pod != "" && len(pod) != 36 && len(pod) != 32 {
			t.Errorf("%q is of pod %q", text, pod)
		}
		_ = commandName([]byte(text))
		_ = builtIn(text, "inet_diag_handler_cmd")
	})
}
