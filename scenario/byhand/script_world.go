package byhand

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario"
)

// head is the script's beginning: what it is, what it needs, and the namespaces that it goes into.
func (w *scriptWriter) head() string {
	s := w.plan
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/bin/env bash\n%s\n", printable.Comment("# ", s.Scenario+": "+s.Title))
	if s.Cause != "" {
		fmt.Fprintf(&b, "#\n%s\n", printable.Comment("# ", s.Cause))
	}
	b.WriteString("#\n# Made by `ctsim script " + s.Scenario + "`: what `ctsim run " + s.Scenario + "` does, by hand.\n#\n" +
		"#   sudo bash " + s.Scenario + ".sh\n#   bash " + s.Scenario + ".sh          without root, in a user namespace\n#\n")
	b.WriteString(strings.ReplaceAll(scriptHead, "@COMMANDS@", strings.Join(w.commands(), " ")))
	return b.String()
}

// commands are what the script runs, besides what every machine has.
func (w *scriptWriter) commands() []string {
	out := []string{"ip", "iptables-restore", "conntrack", "ss", "sysctl", "unshare", "awk"}
	if strings.Contains(w.out.String(), "counter ") {
		out = append(out, "nstat")
	}
	return out
}

const scriptHead = `# It needs iproute2, iptables, conntrack and procps, and ctsim (client and server only) in PATH or named by CTSIM.
# Everything happens in namespaces of the script's own, under a /run of its own. They end with it, however it ends:
# nothing of it is ever on the host, and nothing stays. The outcome is its last line; exit code 0: as the scenario
# expects, 1: not so, 3: this machine cannot run it, 4: it cannot be told.
set -euo pipefail

export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin LC_ALL=C
if [ -z "${CTSIM_SCRIPT:-}" ]; then
	for command in @COMMANDS@ "${CTSIM:-ctsim}"; do
		if ! command -v "$command" >/dev/null; then
			echo "$command: not found" >&2
			if [ "$command" = "${CTSIM:-ctsim}" ]; then echo "hint: CTSIM=/path/to/ctsim bash $0" >&2; fi
			exit 3
		fi
	done
	if [ ! -f "$0" ]; then
		echo "the script starts itself again in namespaces of its own, so it has to be a file" >&2
		exit 3
	fi
	user=()
	if [ "$(id -u)" -ne 0 ]; then user=(--user --map-root-user); fi
	# The pid namespace ends every process below with its first one.
	CTSIM=$(command -v "${CTSIM:-ctsim}") CTSIM_SCRIPT=$$ \
		exec unshare "${user[@]}" --net --mount --pid --fork --kill-child bash "$0" "$@" </dev/null
fi
mount -t tmpfs tmpfs /run # ip netns keeps its names there, iptables-legacy its lock
mkdir /run/log

`

// facts are the variables that the functions use.
func (w *scriptWriter) facts() string {
	p := w.plan
	var b strings.Builder
	protocol, udp := "tcp", 0
	client, server := flags(p.Client.Socket), flags(p.Servers[0].Socket)
	if p.UDP() {
		protocol, udp = "udp", 1
		client, server = append(client, "--udp"), append(server, "--udp")
	} else {
		server = append(server, "--speak", "--await")
	}
	fmt.Fprintf(&b, "nodes=%s\n", ShellQuote(strings.Join(p.NodeNames(), " ")))
	fmt.Fprintf(&b, "service=%s service_address=%s port=%d protocol=%s udp=%d\n", p.Target, p.Target.Addr(), p.Service.Port, protocol, udp)
	fmt.Fprintf(&b, "client=%s client_flags=(%s) server_flags=(%s)\n", p.Client.At, shellWords(client), shellWords(server))
	pods := strings.Join(p.ServerNames(), " ")
	fmt.Fprintf(&b, "pods=%s      # the server pods that are alive\n", ShellQuote(pods))
	fmt.Fprintf(&b, "endpoints=%s # those that the service leads to\n", ShellQuote(pods))
	b.WriteString("declare -A address=(")
	for _, s := range p.Servers {
		fmt.Fprintf(&b, "\n\t[%s]=%s", s.At, s.Address)
	}
	b.WriteString("\n)\n")
	fmt.Fprintf(&b, "declare -A pids=()\nclients=\"\" message=\"\" told=0 sent=0 marks=0 began=$(date +%%T)\n# The client connects from %s.\n", p.Client.Address)
	return b.String()
}

// world is the calls that build it.
func (w *scriptWriter) world() string {
	plan := w.plan
	var b strings.Builder
	sysctls := func(name string, all []scenario.Sysctl) {
		if len(all) == 0 {
			return
		}
		fmt.Fprintf(&b, "set_sysctls %s", name)
		for _, s := range sysctlWords(all) {
			fmt.Fprintf(&b, " \\\n\t%s", ShellQuote(s))
		}
		b.WriteString("\n")
	}
	for _, n := range plan.Nodes {
		fmt.Fprintf(&b, "node %s %s %s\n", n.Name, n.Address, netip.PrefixFrom(n.Gateway(), n.PodCIDR.Bits()))
		sysctls(n.Name, withoutTimestamps(n.Sysctls))
		for _, p := range plan.Pods {
			if p.Node != n.Name {
				continue
			}
			fmt.Fprintf(&b, "pod %s %s %s %s\n", p.Name, netip.PrefixFrom(p.Address, n.PodCIDR.Bits()), n.Name, n.Gateway())
			sysctls(p.Name, p.Sysctls)
		}
	}
	for _, h := range plan.Machines {
		fmt.Fprintf(&b, "namespace %s\n", h.Name)
		sysctls(h.Name, h.Sysctls)
	}
	b.WriteString("\n" + joined(plan))
	return b.String() + "links_up\n"
}

// withoutTimestamps leaves out what only ctsim's own listener has a use for.
func withoutTimestamps(all []scenario.Sysctl) []scenario.Sysctl {
	return slices.DeleteFunc(slices.Clone(all), func(s scenario.Sysctl) bool {
		return s.Key == "net.netfilter.nf_conntrack_timestamp"
	})
}

// sysctlWords are sysctls as `sysctl -w` takes them.
func sysctlWords(all []scenario.Sysctl) []string {
	var out []string
	for _, s := range all {
		out = append(out, s.Key+"="+s.Value)
	}
	return out
}

// joined joins nodes and machines: by a link between two, by a switch for more.
func joined(plan *scenario.Plan) string {
	var b strings.Builder
	names, addresses := []string{}, []netip.Addr{}
	for _, n := range plan.Nodes {
		names, addresses = append(names, n.Name), append(addresses, n.Address)
	}
	for _, h := range plan.Machines {
		names, addresses = append(names, h.Name), append(addresses, h.Address)
	}
	if len(names) == 2 {
		fmt.Fprintf(&b, "ip -n %s link add eth0 up type veth peer name eth0 netns %s\n", names[0], names[1])
	} else {
		b.WriteString("namespace switch\nip -n switch link add cni0 up type bridge mcast_snooping 0\n")
		for _, name := range names {
			fmt.Fprintf(&b, "ip -n switch link add veth-%s up master cni0 type veth peer name eth0 netns %s\n", name, name)
		}
	}
	for i, name := range names {
		fmt.Fprintf(&b, "ip -n %s addr add %s dev eth0\nip -n %s link set eth0 up\n", name,
			netip.PrefixFrom(addresses[i], plan.Network.Bits()), name)
	}
	for _, n := range plan.Nodes {
		for _, other := range plan.Nodes {
			if other.Name != n.Name {
				fmt.Fprintf(&b, "ip -n %s route add %s via %s\n", n.Name, other.PodCIDR.Masked(), other.Address)
			}
		}
	}
	for _, h := range plan.Machines {
		fmt.Fprintf(&b, "ip -n %s route add default via %s\n", h.Name, plan.Nodes[0].Address)
	}
	return b.String()
}

func (w *scriptWriter) servers() string {
	return "for pod in $pods; do serve \"$pod\"; done\n"
}

// maxScriptRules is how many lines of rules a script may have: more are no longer for reading.
const maxScriptRules = 20000

// rules is the shell function that prints the rules for each set of endpoints that there can be.
func (w *scriptWriter) rules() (string, error) {
	var b strings.Builder
	b.WriteString("# rules ENDPOINTS: kube-proxy's, as iptables-save prints them (`ctsim show " + w.plan.Scenario + " --rules`).\n" +
		"rules() {\n\tcase $1 in\n")
	lines := 0
	for _, v := range w.variants {
		var names []string
		for _, i := range v.endpoints {
			names = append(names, w.plan.Servers[i].At)
		}
		set := rulesFor(w.plan, v.endpoints)
		if err := set.Err(); err != nil {
			return "", err
		}
		text := set.Save()
		if lines += strings.Count(text, "\n"); lines > maxScriptRules {
			return "", w.cannot("the rules for all endpoints that may be left would be more than %d lines", maxScriptRules)
		}
		fmt.Fprintf(&b, "\t%q)\n\t\tcat <<'RULES'\n%sRULES\n\t\t;;\n", strings.Join(names, " "), text)
	}
	b.WriteString("\t*) fail \"no rules for these endpoints: $1\" ;;\n\tesac\n}\n")
	return b.String(), nil
}
