package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/internal/kerneltest"
)

// shortest is the scenario that is over soonest.
const shortest = "errno-syn-sent"

// someone is a user who is neither root nor the one who calls ctsim.
const someone = 12345

// sudo is ctsim as an ordinary user calls it by sudo: root's, and told who that is.
func (b *binary) sudo(ctx context.Context, args ...string) *exec.Cmd {
	cmd := b.Command(ctx, args...)
	cmd.Env = append(cmd.Env, "SUDO_USER=nobody", fmt.Sprintf("SUDO_UID=%d", systemtest.Nobody), fmt.Sprintf("SUDO_GID=%d", systemtest.Nobody))
	return cmd
}

// TestKernelOthersFiles: root's ctsim follows no link of a stranger's, neither to a file nor to a folder, and replaces a
// private file by a private one. What sudo's makes belongs to the user who called it.
func TestKernelOthersFiles(t *testing.T) {
	t.Parallel()
	b := newBinary(t, systemtest.Callers[0])
	if !systemtest.Mapped(t, someone) || !systemtest.Mapped(t, systemtest.Nobody) {
		t.Skip("there are no other users in this user namespace")
	}
	dir := b.Tmp
	his, secret := filepath.Join(dir, "his"), filepath.Join(dir, "secret")
	for _, err := range []error{os.Mkdir(his, 0o755), os.Mkdir(secret, 0o700), os.WriteFile(filepath.Join(secret, "key"), []byte("secret"), 0o600),
		os.Symlink("../secret/key", filepath.Join(his, "key")), os.Symlink("../secret", filepath.Join(his, "way")),
		os.Lchown(his, someone, someone), os.Lchown(filepath.Join(his, "key"), someone, someone),
		os.Lchown(filepath.Join(his, "way"), someone, someone), os.WriteFile(filepath.Join(dir, "private"), nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range [][]string{{"--pcap", his + "/key"}, {"--pcap", his + "/way/key"}, {"--report", his + "/way/out"}, {"--report", his + "/way"}} {
		var errs bytes.Buffer
		cmd := b.sudo(t.Context(), append([]string{"run", shortest}, flags...)...)
		cmd.Stderr = &errs
		code := systemtest.ExitCode(t, cmd.Run())
		if code != cmdline.ExitUsage || !strings.Contains(errs.String(), "is a symbolic link that another user may have put there\nhint: ") {
			t.Errorf("%v: exit code %d\n%s", flags, code, &errs)
		}
	}
	if got := systemtest.Folder(t, secret); len(got) != 1 {
		t.Errorf("the folder that the link leads to holds %v", got)
	}
	if data, err := os.ReadFile(filepath.Join(secret, "key")); string(data) != "secret" {
		t.Errorf("the secret is %q, %v", data, err)
	}

	cmd := b.sudo(t.Context(), "run", shortest, "--pcap", dir+"/private", "--report", his+"/out/reports")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for path, want := range map[string]string{
		"secret/key": "600 0:0", "private": "600 0:0", "his": "755 12345:12345", "his/out": "755 65534:65534", "his/out/reports": "755 65534:65534",
		"his/out/reports/" + shortest: "755 65534:65534", "his/out/reports/" + shortest + "/result.json": "644 65534:65534",
	} {
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(dir, path), &st); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// TestKernelKilledWhileSaving: killed at any call that changes a file, a run leaves the earlier report whole or the new one,
// and the next run leaves nothing beside it. Package safefile's tests kill at every call; a run of ctsim takes longer, so
// that without CTSIM_TEST_LONG=1 it is killed only where files change places.
func TestKernelKilledWhileSaving(t *testing.T) {
	t.Parallel()
	b := newBinary(t, systemtest.Callers[0])
	out, pcap := filepath.Join(b.Tmp, "out"), filepath.Join(b.Tmp, "file.pcapng")
	saving := func() *exec.Cmd {
		return b.sudo(t.Context(), "run", shortest, "--quiet", "--report", out, "--pcap", pcap)
	}
	whole := func(when string) {
		t.Helper()
		for _, path := range []string{pcap, filepath.Join(out, shortest, "result.json"), filepath.Join(out, shortest, "packets.pcapng")} {
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	all := kerneltest.KillAt(t, saving(), 0)
	whole("after a run")
	for i, call := range all.Calls {
		if !long && !strings.HasPrefix(call, "rename") {
			continue
		}
		traced := kerneltest.KillAt(t, saving(), i+1)
		if !traced.Killed {
			continue // the second time there is a little more to do, or less
		}
		when := fmt.Sprintf("killed at %s, call %d", traced.Calls[i], i+1)
		whole(when)
		if said, err := saving().CombinedOutput(); err != nil {
			t.Errorf("%s: the next run: %v\n%s", when, err, said)
		}
		whole(when)
		if got := systemtest.Folder(t, b.Tmp); strings.Join(got, " ") != "file.pcapng out" {
			t.Errorf("%s: there are %v", when, got)
		}
		if got := systemtest.Folder(t, out); len(got) != 1 {
			t.Errorf("%s: beside the report there are %v", when, got)
		}
	}
}
