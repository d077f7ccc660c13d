package main

import (
	"errors"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/probe/audit"
)

// TestAuditVerdict: --fail-on risk is 0 only where there was somebody to judge, all were judged, and all are ok.
func TestAuditVerdict(t *testing.T) {
	for _, c := range []struct {
		summary audit.Summary
		want    int
	}{
		{audit.Summary{Connections: 2, OK: 2}, cmdline.ExitPass},
		{audit.Summary{Connections: 2, OK: 1, Risk: 1}, cmdline.ExitFail},
		{audit.Summary{Connections: 2, Unknown: 1, Risk: 1, Unread: 1, Unseen: 1}, cmdline.ExitFail},
		{audit.Summary{Connections: 2, OK: 1, Unknown: 1}, cmdline.ExitInconclusive},
		{audit.Summary{Connections: 2, OK: 2, Unread: 1}, cmdline.ExitInconclusive},
		{audit.Summary{Connections: 2, OK: 2, Unseen: 1}, cmdline.ExitInconclusive},
		{audit.Summary{}, cmdline.ExitInconclusive},
	} {
		for failOn, want := range map[string]int{"risk": c.want, "": cmdline.ExitPass} {
			code := cmdline.ExitPass
			var exit *cmdline.Exit
			if err := (auditFlags{failOn: failOn}).verdict(&audit.Report{Summary: c.summary}); errors.As(err, &exit) {
				code = exit.Code
			}
			if code != want {
				t.Errorf("--fail-on %q, %+v: exit code %d, want %d", failOn, c.summary, code, want)
			}
		}
	}
}
