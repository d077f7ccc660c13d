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

// version is set when a release is built: -ldflags "-X main.version=v1.2.3". Otherwise the module's version counts.
var version string

func versionCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the versions of ctsim, Go and the kernel",
		Description: "What a bug report should begin with.\n\n" +
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
	commit := ""
	if b.Commit != "" {
		commit = " (commit " + b.Commit + ")"
		if b.Modified {
			commit = " (commit " + b.Commit + ", modified)"
		}
	}
	_, err = fmt.Fprintf(inv.Stdout, "ctsim %s%s\n%s %s\nkernel %s\n", b.Version, commit, b.Go, b.Platform, b.Kernel)
	return err
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Kernel: kernelRelease()}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value[:min(12, len(s.Value))]
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

// kernelRelease is `uname -r`.
func kernelRelease() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}
