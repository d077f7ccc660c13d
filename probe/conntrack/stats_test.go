package conntrack

import "testing"

func TestParseStats(t *testing.T) {
	const text = `entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000002  00000001 00000000 00000000 0000000a 00000000 00000000 00000000 00000000 00000003 00000004 00000005 00000006  00000000 00000000 00000000 00000000
00000002  00000000 00000000 00000000 00000006 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000000  00000000 00000000 00000000 00000000
`
	got, err := parseStats(text)
	want := Stats{Invalid: 16, InsertFailed: 3, ClashResolve: 1, Drop: 4, EarlyDrop: 6, Error: 6}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, text := range []string{"", "drop\n", "drop\n1 2 3\n"} {
		if _, err := parseStats(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := parseStats("drop\nxyz\n"); err == nil {
		t.Error("a number that is none is accepted")
	}
}
