package guest

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// TestFrames: what one end says the other hears, whatever was on the line before, and noise is an error.
func TestFrames(t *testing.T) {
	var wire bytes.Buffer
	wire.WriteString("SeaBIOS\x00ctsim gu\x00\x00") // the firmware's, and what looks like the beginning
	wire.WriteString(preamble)
	long := bytes.Repeat([]byte("x"), maxFrame+1)
	for _, f := range []struct {
		k       kind
		payload []byte
	}{{ready, []byte("6.1")}, {alive, nil}, {stdout, long}, {ended, []byte("0")}} {
		if err := writeFrame(&wire, f.k, f.payload); err != nil {
			t.Fatal(err)
		}
	}
	in, err := readPreamble(&wire)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		k, payload, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(k)+string(payload[:min(3, len(payload))]))
	}
	if diff := cmp.Diff([]string{"R6.1", "A", "Oxxx", "Ox", "X0"}, got); diff != "" {
		t.Error(diff)
	}
	for name, noise := range map[string]string{"too long": "O\xff\xff\xff\xff", "cut": "O\x00\x00\x00\x05abc"} {
		in, err := readPreamble(strings.NewReader(preamble + noise))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := in.next(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := readPreamble(strings.NewReader("nobody says anything")); err == nil {
		t.Error("no preamble, no error")
	}
}

// image is the header of a bzImage with a release.
func image(words string) []byte {
	b := make([]byte, 0x400)
	copy(b[magicAt:], magic)
	binary.LittleEndian.PutUint16(b[versionAt:], 0x100)
	return append(b[:0x300], words+"\x00"...)
}

// TestImages: a kernel's release comes from its header, its modules from where packages put them; what is no kernel is refused.
func TestImages(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "boot/vmlinuz")
	check(t, os.MkdirAll(filepath.Join(dir, "boot"), 0o755))
	check(t, os.MkdirAll(filepath.Join(dir, "lib/modules/6.1.0-test"), 0o755))
	check(t, os.WriteFile(path, image("6.1.0-test (me@here) #1 SMP"), 0o644))
	k, err := ofImage(path)
	if want := (Kernel{path, "6.1.0-test", filepath.Join(dir, "lib/modules/6.1.0-test")}); err != nil || k != want {
		t.Errorf("%+v, %v; want %+v", k, err, want)
	}
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("#!/bin/sh\n"), "no release": image(""), "a path for a release": image("../../etc x"),
		"cut": image("6.1")[:0x208]} {
		check(t, os.WriteFile(path, data, 0o644))
		if k, err := ofImage(path); !errors.Is(err, errNoImage) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}

// TestInitramfs: all that is put in is in the archive, each folder before what it holds, and once.
func TestInitramfs(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	check(t, os.WriteFile(program, []byte("ELF"), 0o755))
	var b bytes.Buffer
	check(t, initramfs(&b, program, []module{{"nf_conntrack", []byte("ko")}, {"veth", []byte("ko")}}, map[string]string{"/usr/sbin/tool": program},
		map[string][]byte{"a.yaml": []byte("scenarios")}, []byte("[]")))
	seen := map[string]bool{".": true}
	r := cpio.NewReader(&b)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		if seen[h.Name] || !seen[filepath.Dir(h.Name)] {
			t.Errorf("%s: twice, or before its folder", h.Name)
		}
		seen[h.Name] = true
	}
	for _, want := range []string{"ctsim", "in/args.json", "in/files/a.yaml", "in/modules/000-nf_conntrack.ko", "in/modules/001-veth.ko", "usr/sbin/tool", "proc", "dev"} {
		if !seen[want] {
			t.Errorf("%s is missing; there are %v", want, seen)
		}
	}
}

// relocatable is an ELF file with a section .modinfo, as a module has one.
func relocatable(info string) []byte {
	const names = "\x00.shstrtab\x00.modinfo\x00"
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // into memory
	put(elf.Header64{Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64,
		Shentsize: 64, Shnum: 3, Shstrndx: 1, Shoff: uint64(64 + len(names) + len(info))})
	b.WriteString(names + info)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: 64, Size: uint64(len(names))})
	put(elf.Section64{Name: 11, Type: uint32(elf.SHT_PROGBITS), Off: uint64(64 + len(names)), Size: uint64(len(info))})
	return b.Bytes()
}

// TestModules: a module comes after all that it needs, once, whatever the files are compressed with; a name without a module is
// passed over, and a damaged module is an error.
func TestModules(t *testing.T) {
	folder := t.TempDir()
	put := func(name string, data []byte) { check(t, os.WriteFile(filepath.Join(folder, name), data, 0o644)) }
	pack := func(data []byte, writer func(io.Writer) (io.WriteCloser, error)) []byte {
		var b bytes.Buffer
		w, err := writer(&b)
		check(t, err)
		_, err = w.Write(data)
		check(t, err)
		check(t, w.Close())
		return b.Bytes()
	}
	put("nf_conntrack_netlink.ko.xz", pack(relocatable("depends=nfnetlink,nf_conntrack\x00"), func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }))
	put("nf_conntrack.ko.zst", pack(relocatable("depends=nf_defrag_ipv4\x00"), func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }))
	put("nf_defrag_ipv4.ko.gz", pack(relocatable("depends=\x00"), func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }))
	put("nfnetlink.ko", relocatable("depends=\x00softdep=pre: x-tables\x00"))
	put("x-tables.ko", relocatable("depends=nfnetlink\x00")) // a ring, which softdep allows
	modules, err := loadOrder(folder, []string{"nf_conntrack_netlink", "nf-conntrack", "built_in"})
	check(t, err)
	var names []string
	for _, m := range modules {
		names = append(names, m.name)
	}
	if diff := cmp.Diff([]string{"x_tables", "nfnetlink", "nf_defrag_ipv4", "nf_conntrack", "nf_conntrack_netlink"}, names); diff != "" {
		t.Error(diff)
	}
	for name, data := range map[string][]byte{"bad.ko": []byte("no ELF"), "bad.ko.xz": []byte("no xz"), "bare.ko": relocatable("")[:100]} {
		put(name, data)
		if _, err := loadOrder(folder, []string{name[:strings.Index(name, ".")]}); err == nil {
			t.Errorf("%s is taken", name)
		}
		check(t, os.Remove(filepath.Join(folder, name)))
	}
}

// TestClosure: a program of this machine comes with its libraries and its interpreter.
func TestClosure(t *testing.T) {
	path, err := filepath.EvalSymlinks("/bin/sh")
	check(t, err)
	files, err := closure(path)
	check(t, err)
	if files[0] != path || len(files) < 3 || !slices.ContainsFunc(files, func(s string) bool { return strings.Contains(s, "libc.") }) {
		t.Errorf("%v", files)
	}
	if _, err := closure("/etc/passwd"); err == nil {
		t.Error("a text is a program")
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
