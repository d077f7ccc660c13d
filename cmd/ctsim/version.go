package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// What `make build` and `make release` have the linker set, since they leave out what the go command would note by itself;
// `go build` and `go install` note it, and these stay empty.
var (
	// version is what `git describe --tags --always --dirty` says.
	version string
	// commit is the whole hash.
	commit string
)

func versionCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the versions of ctsim, Go and the kernel",
		Description: "Put this at the top of a bug report.\n\n" +
			"   ctsim version\n" +
			"   ctsim version --output json",
		Flags:  []cli.Flag{cmdline.OutputFlag("text", "json")},
		Action: inv.version,
	}
}

// build is what a binary knows of itself and of the kernel it runs on.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Kernel   string `json:"kernel"`
}

func (inv *invocation) version(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.Usage("version", "version takes no operand, got %q", c.Args().First())
	}
	format, err := inv.Choice(c, "output", "text", "json")
	if err != nil {
		return err
	}
	b := thisBuild()
	if format == "json" {
		return cmdline.JSON(inv.Stdout, b)
	}
	from := ""
	if b.Commit != "" {
		from = " (commit " + b.Commit + ")"
		if b.Modified {
			from = " (commit " + b.Commit + ", modified)"
		}
	}
	_, err = fmt.Fprintf(inv.Stdout, "ctsim %s%s\n%s %s\nkernel %s\n", b.Version, from, b.Go, b.Platform, b.Kernel)
	return err
}

func thisBuild() build {
	b := build{Version: version, Commit: short(commit), Modified: strings.HasSuffix(version, "-dirty"), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Kernel: kernelRelease()}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = short(s.Value)
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

// short is the beginning of a commit's hash, as long as it takes to be the only one.
func short(hash string) string { return hash[:min(12, len(hash))] }

// kernelRelease is `uname -r`.
func kernelRelease() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}
