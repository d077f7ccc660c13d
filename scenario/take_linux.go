package scenario

import (
	"context"
	"fmt"
)

// take does what a verb says to the connections given. Each verb has its case here; a test fails for one that has none.
func (r *run) take(ctx context.Context, step Step, active []*flow) error {
	switch v := step.action.(type) {
	case *connectStep:
		return r.connect(ctx, v, active)
	case *sendStep:
		return r.send(ctx, v, active)
	case *receiveStep:
		return r.receive(ctx, v, active)
	case *shutdownStep:
		return r.shutdown(ctx, v, active)
	case *closeStep:
		return r.closeSocket(ctx, v, active)
	case *flushStep:
		return r.flush(ctx, v, active)
	case *deleteEntryStep:
		return r.deleteEntryOf(ctx, v, active)
	case *deleteStaleStep:
		return r.deleteStale(ctx, v, active)
	case *ageStep:
		return r.age(ctx, v, active)
	case *waitStep:
		return r.wait(ctx, v, step.Text, active)
	case *repeatStep:
		return r.repeat(ctx, v, active)
	case *sysctlStep:
		return r.setSysctl(ctx, v, active)
	case *execStep:
		return r.exec(ctx, v, active)
	case *removeEndpointsStep:
		return r.removeEndpoints(ctx, v, active)
	case *addEndpointsStep:
		return r.addEndpoints(ctx, v, active)
	case *stopServerStep:
		return r.stopServers(ctx, v, active)
	case *killPodStep:
		return r.killPod(ctx, v, active)
	case *takeAddressStep:
		return r.takeAddress(ctx, v, active)
	case *injectStep:
		return r.inject(ctx, v, active)
	case *startClientStep:
		return r.startClientProgram(ctx, v, active)
	case *inputStep:
		return r.input(ctx, v, active)
	case *useStep:
		return r.use(ctx, v, step.Text, active)
	}
	return fmt.Errorf("no run takes the step %s", step.Name)
}
