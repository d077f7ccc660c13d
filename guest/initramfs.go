package guest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// Where things are in the guest.
const (
	programPath  = "/ctsim"
	argsPath     = "/in/args.json"
	modulesPath  = "/in/modules"
	inputsFolder = "/in/files"
)

// InputPath is where a file of [Job.Inputs] is in the guest.
func InputPath(name string) string { return path.Join(inputsFolder, name) }

// archive is an initramfs in the making: a cpio archive of the form newc, uncompressed, which every kernel can read.
type archive struct {
	w       *cpio.Writer
	folders map[string]bool
}

func newArchive(w io.Writer) *archive {
	return &archive{cpio.NewWriter(w), map[string]bool{"/": true, ".": true}}
}

// folder makes a folder and those above it.
func (a *archive) folder(name string) error {
	if a.folders[name] {
		return nil
	}
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	a.folders[name] = true
	return a.w.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeDir | 0o755, Links: 2})
}

func (a *archive) file(name string, mode cpio.FileMode, data []byte) error {
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := a.w.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeReg | mode, Size: int64(len(data)), Links: 1}); err != nil {
		return err
	}
	_, err := a.w.Write(data)
	return err
}

// initramfs writes what the guest begins with.
func initramfs(w io.Writer, program string, modules []module, files map[string]string, inputs map[string][]byte, args []byte) error {
	a := newArchive(w)
	for _, folder := range []string{"/proc", "/sys", "/dev", "/tmp", "/run", "/var/run", modulesPath} {
		if err := a.folder(folder); err != nil {
			return err
		}
	}
	for i, m := range modules {
		if err := a.file(fmt.Sprintf("%s/%03d-%s.ko", modulesPath, i, m.name), 0o644, m.data); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if err := a.file(InputPath(name), 0o644, inputs[name]); err != nil {
			return err
		}
	}
	if err := a.file(argsPath, 0o644, args); err != nil {
		return err
	}
	files = maps.Clone(files)
	files[programPath] = program
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		if err := a.file(name, 0o755, data); err != nil {
			return err
		}
	}
	return a.w.Close()
}
