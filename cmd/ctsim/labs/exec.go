package labs

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/lab"
	"github.com/ctsim/ctsim/scenario/build"
)

func labExecCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run a command in a pod or node",
		ArgsUsage: "POD -- COMMAND [ARG…]",
		Description: "Becomes the command, in the network namespace of the pod or node: terminal, signals and exit code are the\n" +
			"command's own. As in a shell, the code is 127 if the command is not found and 126 if it cannot be run.\n\n" +
			"   ctsim lab exec client -- ctsim client 10.108.33.37:2222\n" +
			"   ctsim lab exec master -- conntrack -L\n" +
			"   ctsim lab exec server-1 --lab other -- ip address",
		Flags:  []cli.Flag{labFlag()},
		Action: inv.labExec,
	}
}

func (inv *invocation) labExec(c *cli.Context) error {
	words := c.Args().Slice()
	if len(words) < 2 || words[1] == "" {
		return inv.Usage("lab exec", "lab exec needs a pod or node and a command")
	}
	return inv.execIn(c, words[0], words[1:])
}

func labShellCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "shell",
		Usage:     "open a shell in a pod or node",
		ArgsUsage: "POD",
		Description: "Opens $SHELL, or /bin/sh if that is not set. Its host name is the pod's; `ctsim lab` commands typed in it use its\n" +
			"lab.\n\n" +
			"   ctsim lab shell client",
		Flags:  []cli.Flag{labFlag()},
		Action: inv.labShell,
	}
}

func (inv *invocation) labShell(c *cli.Context) error {
	if c.NArg() != 1 {
		return inv.Usage("lab shell", "lab shell takes one pod or node, got %d operands", c.NArg())
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	return inv.execIn(c, c.Args().First(), []string{shell})
}

// execIn replaces ctsim by a command in a pod.
func (inv *invocation) execIn(c *cli.Context, pod string, command []string) error {
	_, record, err := inv.enterLab(c)
	if err != nil {
		return err
	}
	if _, err = inv.place(pod, record.Places()); err != nil {
		return err
	}
	err = record.Exec(pod, command)
	var notStarted *lab.NotStarted
	if errors.As(err, &notStarted) {
		return cmdline.NewExit(notStarted.Code, fmt.Sprintf("%s in %s", notStarted, pod), "")
	}
	return build.AsUnsupported(err)
}
