package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/strictyaml"
)

// completions are the scripts for the shells, ctsim.SHELL each. They hold no word of the command line: they ask
// `ctsim __complete`, so that they need not be made anew when ctsim learns something.
//
//go:embed completion/ctsim.*
var completions embed.FS

var shells = []string{"bash", "zsh", "fish"}

func completionCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell's completion script",
		ArgsUsage: "SHELL",
		Description: "Completes commands, flags and their values, and the names of scenarios and checks. The script asks ctsim itself,\n" +
			"so it stays right when ctsim is upgraded.\n\n" +
			"   ctsim completion bash > ~/.local/share/bash-completion/completions/ctsim\n" +
			"   ctsim completion zsh > ~/.zfunc/_ctsim          with fpath=(~/.zfunc $fpath) before compinit\n" +
			"   ctsim completion fish > ~/.config/fish/completions/ctsim.fish\n" +
			"   . <(ctsim completion bash)                      in this shell only",
		Action: inv.completion,
	}
}

func (inv *invocation) completion(c *cli.Context) error {
	if c.NArg() != 1 {
		return inv.Usage("completion", "completion takes one shell: %s", strings.Join(shells, ", "))
	}
	shell := c.Args().First()
	script, err := completions.ReadFile("completion/ctsim." + shell)
	if err != nil {
		if near := strictyaml.Nearest(shell, shells); near != "" {
			return cmdline.UsageHint(inv.Retyped(shell, near), "unknown shell %q", shell)
		}
		return inv.Usage("completion", "unknown shell %q: expected %s", shell, strings.Join(shells, ", "))
	}
	_, err = inv.Stdout.Write(script)
	return err
}

// completeCommand is what the scripts call with the words typed so far, the last of which may be unfinished or empty.
// It prints one candidate a line with a tab and what it is, or :files or :dirs with the beginning of a path.
func completeCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:   "__complete",
		Usage:  "print what can come next, for completion scripts",
		Hidden: true,
		Action: func(c *cli.Context) error {
			for _, one := range inv.candidates(c.App.Commands, c.Args().Slice()) {
				if _, err := fmt.Fprintf(inv.Stdout, "%s\t%s\n", one.word, one.about); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
