package scenario

import (
	"context"
	"errors"
	"os"

	"github.com/ctsim/ctsim/topology"
)

// Build makes the namespaces and links of a world, without rules. It loads what the kernel has as modules. The error is
// *Unsupported if this machine or user cannot. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the current user namespace.
func Build(ctx context.Context, plan topology.Plan) (*topology.Lab, error) {
	lab, err := topology.Up(ctx, plan)
	if errors.Is(err, os.ErrNotExist) {
		// The sysctls of conntrack are there once its module is; asking for the table makes the kernel load it.
		if load() == nil {
			lab, err = topology.Up(ctx, plan)
		}
	}
	return lab, unsupported(err)
}

// Unsupportable turns an error that means "not on this machine, not as this user" into *Unsupported, which says so with
// a hint; others are given back as they are.
func Unsupportable(err error) error { return unsupported(err) }
