package replay

import (
	"context"
	"fmt"

	"github.com/ctsim/ctsim/scenario"
)

// take does what a verb says to the connections given. Each verb has its case here; a test fails for one that has none.
func (r *run) take(ctx context.Context, step scenario.Step, active []*flow) error {
	switch v := step.Verb.(type) {
	case *scenario.Connect:
		return r.connect(ctx, v, active)
	case *scenario.Send:
		return r.send(ctx, v, active)
	case *scenario.Receive:
		return r.receive(ctx, v, active)
	case *scenario.Shutdown:
		return r.shutdown(ctx, v, active)
	case *scenario.Close:
		return r.closeSocket(ctx, v, active)
	case *scenario.Flush:
		return r.flush(ctx, v, active)
	case *scenario.DeleteEntry:
		return r.deleteEntryOf(ctx, v, active)
	case *scenario.DeleteStale:
		return r.deleteStale(ctx, v, active)
	case *scenario.Age:
		return r.age(ctx, v, active)
	case *scenario.Wait:
		return r.wait(ctx, v, step.Text, active)
	case *scenario.Repeat:
		return r.repeat(ctx, v, active)
	case *scenario.SetSysctl:
		return r.setSysctl(ctx, v, active)
	case *scenario.Exec:
		return r.exec(ctx, v, active)
	case *scenario.RemoveEndpoints:
		return r.removeEndpoints(ctx, v, active)
	case *scenario.AddEndpoints:
		return r.addEndpoints(ctx, v, active)
	case *scenario.StopServers:
		return r.stopServers(ctx, v, active)
	case *scenario.KillPod:
		return r.killPod(ctx, v, active)
	case *scenario.TakeAddress:
		return r.takeAddress(ctx, v, active)
	case *scenario.Inject:
		return r.inject(ctx, v, active)
	case *scenario.StartClient:
		return r.startClientProgram(ctx, v, active)
	case *scenario.Input:
		return r.input(ctx, v, active)
	case *scenario.Use:
		return r.use(ctx, v, step.Text, active)
	}
	return fmt.Errorf("no run takes the step %s", step.Name)
}
