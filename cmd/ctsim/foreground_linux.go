package main

import (
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// inForeground runs a command that ends with ctsim, in the foreground of a terminal that is its stdin, and takes the
// terminal back when it has ended: Ctrl-C is for the command alone. Without a terminal, nil, it only runs it.
func inForeground(cmd *exec.Cmd, terminal *os.File) error {
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = time.Second
	if terminal == nil {
		return cmd.Run()
	}
	// Whoever takes the terminal from the background is stopped by SIGTTOU otherwise.
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, int(terminal.Fd())
	err := cmd.Run()
	_ = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPGRP, unix.Getpgrp()) // an error shows at the next prompt
	return err
}
