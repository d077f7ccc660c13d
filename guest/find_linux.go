package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// packageName is what Debian calls its kernels.
var packageName = regexp.MustCompile(`^linux-image-[a-z0-9][a-z0-9.+~-]*$`)

// Find finds a kernel: an image file, a Debian package as a file, or one by its name, which apt-get fetches (a package that only
// depends on the newest, such as linux-image-amd64, stands for that). Packages are kept, unpacked, below cache.
func Find(ctx context.Context, what, cache string) (Kernel, error) {
	info, err := os.Stat(what)
	switch {
	case err == nil && info.Mode().IsRegular() && strings.HasSuffix(what, ".deb"):
		return ofPackage(ctx, what, cache)
	case err == nil && info.Mode().IsRegular():
		return ofImage(what)
	case err == nil:
		return Kernel{}, fmt.Errorf("%s: %w", what, errNoImage)
	case packageName.MatchString(what):
		return fetched(ctx, what, cache)
	}
	return Kernel{}, fmt.Errorf("%w; want a kernel image, a .deb, or the name of a package such as linux-image-cloud-amd64", err)
}

// fetched gets a package by its name.
func fetched(ctx context.Context, name, cache string) (Kernel, error) {
	name, err := realPackage(ctx, name)
	if err != nil {
		return Kernel{}, err
	}
	dir, err := os.MkdirTemp("", "ctsim-kernel-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(dir)
	if _, err := output(ctx, dir, "apt-get", "download", "-qq", name); err != nil {
		return Kernel{}, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return Kernel{}, fmt.Errorf("apt-get download %s has left %d packages", name, len(found))
	}
	return ofPackage(ctx, found[0], cache)
}

// realPackage is the kernel that a package without one depends on.
func realPackage(ctx context.Context, name string) (string, error) {
	text, err := output(ctx, "", "apt-cache", "show", "--no-all-versions", name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		depends, is := strings.CutPrefix(line, "Depends: ")
		for one := range strings.SplitSeq(depends, ",") {
			if one, _, _ = strings.Cut(strings.TrimSpace(one), " "); is && packageName.MatchString(one) {
				return one, nil
			}
		}
	}
	return name, nil
}

// ofPackage is the kernel of a Debian package, unpacked below cache if it is not there yet.
func ofPackage(ctx context.Context, deb, cache string) (Kernel, error) {
	folder := filepath.Join(cache, strings.TrimSuffix(filepath.Base(deb), ".deb"))
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		if err := unpack(ctx, deb, folder); err != nil {
			return Kernel{}, err
		}
	}
	images, err := filepath.Glob(filepath.Join(folder, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return Kernel{}, fmt.Errorf("%s holds %d kernels (boot/vmlinuz-…), want one", deb, len(images))
	}
	k, err := ofImage(images[0])
	if err == nil && k.Modules == "" { // where /lib is a link to usr/lib
		if folder := filepath.Join(folder, "usr/lib/modules", k.Release); isFolder(folder) {
			k.Modules = folder
		}
	}
	return k, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// unpack unpacks a package; a folder of that name is there only if all of it is.
func unpack(ctx context.Context, deb, folder string) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return err
	}
	half, err := os.MkdirTemp(filepath.Dir(folder), ".half-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	if _, err := output(ctx, "", "dpkg-deb", "-x", deb, half); err != nil {
		return err
	}
	if err := os.Rename(half, folder); err != nil && !errors.Is(err, fs.ErrExist) { // another has been faster
		return err
	}
	return nil
}

// output runs a command in a folder and gives what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
