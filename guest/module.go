package guest

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// module is a kernel module, unpacked.
type module struct {
	name string
	data []byte
}

// loadOrder are the modules of these names and all that they need, each after what it needs. A name that the kernel has no
// module of is passed over: it is built in, or not there, which the program will find out.
func loadOrder(folder string, names []string) ([]module, error) {
	if folder == "" {
		return nil, nil
	}
	files, err := moduleFiles(folder)
	if err != nil {
		return nil, err
	}
	var out []module
	visited := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		name = moduleName(name)
		path := files[name]
		if path == "" || visited[name] {
			return nil
		}
		visited[name] = true
		data, err := readModule(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		needs, err := dependencies(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, n := range needs {
			if err := visit(n); err != nil {
				return err
			}
		}
		out = append(out, module{name, data})
		return nil
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// moduleName is a module's name as the kernel writes it: file names may have dashes.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleFiles are the paths of all modules, by name.
func moduleFiles(folder string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if name, _, is := strings.Cut(filepath.Base(path), ".ko"); is {
			files[moduleName(name)] = path
		}
		return nil
	})
	return files, err
}

// readModule reads a module that may be compressed (CONFIG_MODULE_COMPRESS_*).
func readModule(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r io.Reader
	switch filepath.Ext(path) {
	case ".xz":
		r, err = xz.NewReader(bytes.NewReader(data))
	case ".gz":
		r, err = gzip.NewReader(bytes.NewReader(data))
	case ".zst":
		d, failed := zstd.NewReader(bytes.NewReader(data))
		if failed == nil {
			defer d.Close()
		}
		r, err = d, failed
	default:
		return data, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// dependencies are the modules that one needs first (`modinfo -F depends`; soft ones too, which it asks for when it is loaded).
func dependencies(data []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	var out []string
	for item := range bytes.SplitSeq(info, []byte{0}) {
		key, value, _ := strings.Cut(string(item), "=")
		switch key {
		case "depends":
			out = append(out, strings.Split(value, ",")...)
		case "softdep":
			if before, is := strings.CutPrefix(value, "pre: "); is {
				out = append(out, strings.Fields(before)...)
			}
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" }), nil
}
