package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// types is what the running kernel's BTF says about the tracepoints.
type types struct {
	cache        *btf.Cache
	resetReasons map[uint32]string
	dropReasons  map[uint32]string
	silent       [4]uint64
	// How many arguments the tracepoints have.
	sendResetArguments, kfreeSkbArguments int
	taiClock                              bool // bpf_ktime_get_tai_ns
}

// loadTypes reads /sys/kernel/btf/vmlinux.
func loadTypes() (*types, error) {
	t := &types{cache: btf.NewCache()}
	spec, err := t.cache.Kernel()
	if err != nil {
		return nil, &Unavailable{What: "BTF of the kernel (CONFIG_DEBUG_INFO_BTF, /sys/kernel/btf/vmlinux)", Err: err}
	}
	arguments := map[string]int{}
	for _, name := range []string{"tcp_send_reset", "tcp_receive_reset", "inet_sk_error_report", "kfree_skb"} {
		if arguments[name], err = tracepointArguments(spec, name); err != nil {
			return nil, err
		}
	}
	t.sendResetArguments, t.kfreeSkbArguments = arguments["tcp_send_reset"], arguments["kfree_skb"]
	reset, err := enumValues(spec, "sk_rst_reason")
	if err != nil {
		return nil, err
	}
	drop, err := enumValues(spec, "skb_drop_reason")
	if err != nil {
		return nil, err
	}
	helpers, err := enumValues(spec, "bpf_func_id")
	if err != nil {
		return nil, err
	}
	_, t.taiClock = helpers["BPF_FUNC_ktime_get_tai_ns"]
	t.resetReasons = namesOf(reset, resetReasonPrefix)
	t.dropReasons = namesOf(drop, dropReasonPrefix)
	t.silent = silentBits(drop)
	return t, nil
}

// tracepointArguments counts the arguments of a tracepoint. BTF has its prototype as typedef btf_trace_NAME, a pointer to
// a function whose first argument is the probe's own (include/trace/bpf_probe.h).
func tracepointArguments(spec *btf.Spec, tracepoint string) (int, error) {
	var typedef *btf.Typedef
	if err := spec.TypeByName("btf_trace_"+tracepoint, &typedef); err != nil {
		return 0, &Unavailable{What: fmt.Sprintf("tracepoint %s (Linux 5.14)", tracepoint), Err: err}
	}
	if pointer, ok := typedef.Type.(*btf.Pointer); ok {
		if proto, ok := pointer.Target.(*btf.FuncProto); ok && len(proto.Params) > 0 {
			return len(proto.Params) - 1, nil
		}
	}
	return 0, fmt.Errorf("tracepoint %s has no prototype in BTF: %v", tracepoint, typedef)
}

// enumValues gives nil for an enum that this kernel does not have.
func enumValues(spec *btf.Spec, name string) (map[string]uint64, error) {
	var enum *btf.Enum
	err := spec.TypeByName(name, &enum)
	if errors.Is(err, btf.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("enum %s in BTF: %w", name, err)
	}
	values := make(map[string]uint64, len(enum.Values))
	for _, v := range enum.Values {
		values[v.Name] = v.Value
	}
	return values, nil
}

func namesOf(values map[string]uint64, prefix string) map[uint32]string {
	if values == nil {
		return nil
	}
	names := make(map[uint32]string, len(values))
	for name, v := range values {
		names[uint32(v)] = strings.TrimPrefix(name, prefix)
	}
	return names
}

// What the tracepoints tell on this kernel: their prototypes grew, see bpf/watch.c.
func (t *types) hasResetReason() bool { return t.sendResetArguments > 2 }
func (t *types) hasDropReason() bool  { return t.kfreeSkbArguments > 2 }
func (t *types) hasDropSocket() bool  { return t.kfreeSkbArguments > 3 }
