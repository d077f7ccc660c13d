package guest

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryFolders are where the dynamic linker looks when nothing else is said.
var libraryFolders = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// closure is a program with its interpreter and libraries, as paths on this machine; links are followed.
func closure(program string) ([]string, error) {
	var out []string
	var add func(path string) error
	add = func(path string) error {
		if slices.Contains(out, path) {
			return nil
		}
		file, err := elf.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer file.Close()
		out = append(out, path)
		for _, p := range file.Progs {
			if p.Type != elf.PT_INTERP {
				continue
			}
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if err := add(strings.TrimRight(string(name), "\x00")); err != nil {
				return err
			}
		}
		needed, err := file.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, name := range needed {
			found, err := library(name)
			if err == nil {
				err = add(found)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	}
	return out, add(program)
}

func library(name string) (string, error) {
	for _, folder := range libraryFolders {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s: not in %s", name, strings.Join(libraryFolders, ", "))
}

// iptablesFiles are all that iptables needs, as path in the guest → path here: each of its commands that this machine has, in
// both flavours, their libraries, and the folder of its matches and targets.
func iptablesFiles() (map[string]string, error) {
	files := map[string]string{}
	for _, flavour := range []string{"", "-nft", "-legacy"} {
		for _, tool := range []string{"", "-restore", "-save"} {
			name := "iptables" + flavour + tool
			for _, folder := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
				path, err := filepath.EvalSymlinks(filepath.Join(folder, name))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return nil, err
				}
				all, err := closure(path)
				if err != nil {
					return nil, err
				}
				files["/usr/sbin/"+name] = path
				for _, library := range all[1:] {
					files[library] = library
				}
				break
			}
		}
	}
	if len(files) == 0 {
		return nil, errors.New("iptables is not installed here, and the guest takes it from here")
	}
	extensions := 0
	for _, folder := range libraryFolders {
		found, _ := filepath.Glob(filepath.Join(folder, "xtables/*.so")) // its only error is a bad pattern
		for _, path := range found {
			all, err := closure(path)
			if err != nil {
				return nil, err
			}
			for _, library := range all {
				files[library] = library
			}
			extensions++
		}
	}
	if extensions == 0 {
		return nil, fmt.Errorf("the matches and targets of iptables (xtables/*.so) are in none of %s", strings.Join(libraryFolders, ", "))
	}
	return files, nil
}
