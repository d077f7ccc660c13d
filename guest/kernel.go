package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Kernel is one that can be booted.
type Kernel struct {
	// Image is the path of a bzImage (/boot/vmlinuz-…).
	Image string
	// Release is its `uname -r`.
	Release string
	// Modules is the folder of its modules, /lib/modules/RELEASE; empty if it has none.
	Modules string
}

// The header of a bzImage (Documentation/arch/x86/boot.rst).
const (
	magicAt, magic = 0x202, "HdrS"
	// versionAt is where the offset of the release's text stands, counted from 0x200.
	versionAt    = 0x20e
	longestWords = 512
)

// errNoImage is the error of a file that is no kernel.
var errNoImage = errors.New("not a kernel image (want a bzImage such as /boot/vmlinuz-…, or a Debian package)")

// imageRelease reads the release from an image's header.
func imageRelease(r io.ReaderAt) (string, error) {
	var head [0x210]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[magicAt:][:len(magic)]) != magic {
		return "", errNoImage
	}
	text := make([]byte, longestWords)
	n, err := r.ReadAt(text, int64(binary.LittleEndian.Uint16(head[versionAt:]))+0x200)
	if n == 0 && err != nil {
		return "", errNoImage
	}
	text, _, _ = bytes.Cut(text[:n], []byte{0})
	release, _, _ := strings.Cut(string(text), " ") // "6.1.0-50-amd64 (builder@…) #1 SMP …"
	if release == "" || strings.Contains(release, "/") {
		return "", errNoImage
	}
	return release, nil
}

// ofImage is the kernel of an image file. Its modules are looked for where `make modules_install` and packages put them: in
// lib/modules beside the image's folder, and on this machine.
func ofImage(path string) (Kernel, error) {
	f, err := os.Open(path)
	if err != nil {
		return Kernel{}, err
	}
	defer f.Close()
	k := Kernel{Image: path}
	if k.Release, err = imageRelease(f); err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", path, err)
	}
	for _, root := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path), "/"} {
		folder := filepath.Join(root, "lib/modules", k.Release)
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			k.Modules = folder
			break
		}
	}
	return k, nil
}
