package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunOnAnotherKernel plays qemu: what the guest says comes out, and its exit code is one for git bisect run. The command
// line in the guest is the one here, without what is this machine's.
func TestRunOnAnotherKernel(t *testing.T) {
	dir := t.TempDir()
	image := make([]byte, 0x400) // the header of a bzImage
	copy(image[0x202:], "HdrS")
	image[0x20f] = 0x01 // the release is 0x100 behind 0x200
	copy(image[0x300:], "6.1.0-test (me) #1")
	kernel := filepath.Join(dir, "bzImage")
	if err := os.WriteFile(kernel, image, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	const initrd = `for a in "$@"; do case $a in */initramfs) cp "$a" %s/kept;; file:*) echo "Linux version 6" >"${a#file:}";; esac; done
printf '\000ctsim guest 1\n'; printf 'R\000\000\000\0036.1O\000\000\000\005PASS\012X\000\000\000\001%d'
`
	for guests, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 125, 4: 125} {
		script := "#!/bin/sh\n" + fmt.Sprintf(strings.ReplaceAll(initrd, "%s", dir), guests)
		if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		var out, complaints bytes.Buffer
		code := run(context.Background(), []string{"ctsim", "run", "--kernel", kernel, "-q", "--backends=3", "flush-multi-backend"}, nil, &out, &complaints)
		if code != want || out.String() != "PASS\n" {
			t.Errorf("the guest's exit code is %d: %d, want %d; stdout %q\n%s", guests, code, want, &out, &complaints)
		}
		kept, err := os.ReadFile(filepath.Join(dir, "kept"))
		if err != nil {
			t.Fatal(err)
		}
		if args := `["run","--backends=3","--quiet=true","--parallel=1","--color=never","flush-multi-backend"]`; !bytes.Contains(kept, []byte(args)) {
			t.Errorf("the guest is not called with %s", args)
		}
	}
}
