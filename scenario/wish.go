package scenario

// Wish is a program that a scenario wants to run besides ctsim's own: in a step exec, or in the place of its client or
// servers. Whoever runs a stranger's file is asked about it.
type Wish struct {
	// Scenario is whose wish it is, At the pods or the node where, User who it would run as if that is not ctsim's own user.
	Scenario, At, User string
	// Words are the program and its arguments.
	Words []string
}

// Wishes are the programs that a scenario wants to run, in the order in which they would be.
func (s Scenario) Wishes() []Wish {
	var out []Wish
	if s.externalServer() {
		out = append(out, Wish{s.Name, "each server pod", s.World.Server.User, []string{"sh", "-c", s.World.Server.Exec}})
	}
	if s.externalClient() {
		at, _ := s.client()
		out = append(out, Wish{s.Name, at, s.World.Client.User, []string{"sh", "-c", s.World.Client.Exec}})
	}
	for _, e := range s.Steps.execs() {
		out = append(out, Wish{s.Name, e.In, "", e.Command})
	}
	return out
}
