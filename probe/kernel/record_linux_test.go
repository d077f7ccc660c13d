package kernel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf/ringbuf"
)

var record = flag.Bool("record", false, "record testdata/samples.json from this kernel")

// Records the samples that TestReplay replays without a kernel. The addresses of functions are replaced by numbers.
func TestKernelRecord(t *testing.T) {
	if !*record {
		t.Skip("records with -record only")
	}
	needTrace(t)
	ns := newPod(t, "pod")
	kernel := kernelTypes(t)
	o, err := load(kernel)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	reader, err := ringbuf.NewReader(o.Samples)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	w := &Watcher{objects: o}
	if err := errors.Join(w.Add(ns), o.attach(kernel)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.detach() }()

	wire := newInjector(t, ns)
	wire.ack(t, stranger, listener)
	wire.awaitReset(t, listener, stranger)
	listenIn(t, ns, listener.String())
	wire.ack(t, stranger, listener)
	wire.awaitReset(t, listener, stranger)
	resetClient(t, ns, "127.0.0.1:0")
	resetClient(t, ns, "[::1]:0")
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}

	r := recording{
		Functions:    map[uint64]string{},
		ResetReasons: kernel.resetReasons,
		DropReasons:  kernel.dropReasons,
	}
	names := &functions{objects: o, known: map[uint64]string{}}
	numbers := map[string]uint64{}
	for {
		rec, failed := reader.Read()
		if errors.Is(failed, ringbuf.ErrFlushed) {
			break
		}
		if failed != nil {
			t.Fatal(failed)
		}
		s, failed := parseSample(rec.RawSample)
		if failed != nil {
			t.Fatal(failed)
		}
		raw := slices.Clone(rec.RawSample[:sampleHead+8*len(s.stack)])
		for i, name := range names.of(s.stack) {
			if _, ok := numbers[name]; !ok {
				numbers[name] = uint64(len(numbers) + 1)
			}
			binary.NativeEndian.PutUint64(raw[sampleHead+8*i:], numbers[name])
		}
		r.Samples = append(r.Samples, raw)
	}
	for name := range maps.Keys(numbers) {
		r.Functions[numbers[name]] = name
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordingFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
