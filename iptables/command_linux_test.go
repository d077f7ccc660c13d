package iptables

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
)

func TestOpenNotInstalled(t *testing.T) {
	withoutSbin(t)
	t.Setenv("PATH", t.TempDir())
	for _, flavour := range []Flavour{"", NFT, Legacy} {
		_, err := Open(nil, flavour)
		if !errors.Is(err, dataplane.ErrNotInstalled) {
			t.Errorf("flavour %q: error %v, want ErrNotInstalled", flavour, err)
		}
		checkError(t, err, []string{"iptables is not installed: no iptables", "sudo apt-get install iptables"})
	}
}

func TestOpenUnknownFlavour(t *testing.T) {
	_, err := Open(nil, "pf")
	checkError(t, err, []string{`unknown iptables flavour "pf"`})
}

// TestFindPrograms finds fakes: links as distributions make them, and a script, which has to be asked.
func TestFindPrograms(t *testing.T) {
	withoutSbin(t)
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	find := func(flavour, want Flavour, name string) {
		t.Helper()
		p, err := findPrograms(flavour)
		if err != nil {
			t.Errorf("flavour %q: %v", flavour, err)
			return
		}
		wantPrograms := programs{flavour: want, iptables: filepath.Join(dir, name),
			restore: filepath.Join(dir, name+"-restore"), save: filepath.Join(dir, name+"-save")}
		if p != wantPrograms {
			t.Errorf("flavour %q: %+v, want %+v", flavour, p, wantPrograms)
		}
	}

	write("xtables-legacy-multi", "#!/bin/sh\nexit 9\n")
	link("xtables-legacy-multi", "iptables-legacy")
	find("", Legacy, "iptables-legacy")

	write("iptables", "#!/bin/sh\necho 'iptables v1.8.9 (nf_tables)'\n")
	find("", NFT, "iptables")
	find(NFT, NFT, "iptables")
	find(Legacy, Legacy, "iptables-legacy")
}

// withoutSbin makes PATH the only place to look in.
func withoutSbin(t *testing.T) {
	old := sbin
	sbin = nil
	t.Cleanup(func() { sbin = old })
}
