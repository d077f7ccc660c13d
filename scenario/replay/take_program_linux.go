package replay

import (
	"context"
	"time"

	"github.com/ctsim/ctsim/scenario"
)

func (r *run) startClientProgram(ctx context.Context, s *scenario.StartClient, _ []*flow) error {
	r.quiet = s.Quiet
	if err := r.startClient(); err != nil {
		return err
	}
	if s.Printed != "" {
		if err := r.untilPrinted(ctx, s.Printed, s.AtMost); err != nil {
			return err
		}
	}
	if s.Input != "" {
		if err := r.untilIdle(ctx, s.Quiet, s.AtMost); err != nil {
			return err
		}
		if err := r.tellClient(s.Input); err != nil {
			return err
		}
	}
	if err := r.untilIdle(ctx, s.Quiet, s.AtMost); err != nil {
		return err
	}
	r.idleSince = time.Now()
	return r.noteSettings()
}

func (r *run) input(_ context.Context, s *scenario.Input, _ []*flow) error {
	if err := r.tellClient(s.Line); err != nil {
		return err
	}
	return r.drain()
}

func (r *run) use(ctx context.Context, s *scenario.Use, text string, active []*flow) error {
	u := &use{run: r, step: s, text: text, began: time.Now(), give: time.Now().Add(s.AtMost), active: active}
	return u.do(ctx)
}
