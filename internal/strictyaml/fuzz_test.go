package strictyaml

import (
	"testing"
	"time"
)

// FuzzDecode: whatever the bytes, there are values or problems, soon, and no panic.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"name: a\nverbs: [stop, say: hello]\nlist:\n- a: 1\n", "a: &b [*b]\n---\n? x\n: !t y\n", "{a: , b}: \"\\e\"",
		"%YAML 1.2\n--- |\n  a\n...\n", "name: a\nmaybe:\nlabels: {<<: *x}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			return
		}
		begun := time.Now()
		var s sample
		d := New("f")
		for _, doc := range d.Documents(data, "a test", 2000) {
			d.Decode(doc, &s)
		}
		SetDefaults(&s)
		if d.Err() == nil && d.Count() > 0 || d.Err() != nil && d.Err().Error() == "" {
			t.Errorf("%d problems, error %v", d.Count(), d.Err())
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
