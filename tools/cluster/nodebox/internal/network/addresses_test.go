package network

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
)

func pool(t *testing.T, cidr, path string) *Pool {
	t.Helper()
	p, err := NewPool(cidr, path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func take(t *testing.T, p *Pool) string {
	t.Helper()
	address, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	return address.String()
}

func TestAddressesGoRoundAndLeaveOutBothEnds(t *testing.T) {
	p := pool(t, "10.1.1.0/29", filepath.Join(t.TempDir(), "last"))
	var taken []string
	for range 6 {
		taken = append(taken, take(t, p))
	}
	if want := []string{"10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5", "10.1.1.6"}; !slices.Equal(taken, want) {
		t.Fatalf("took %v", taken)
	}
	if address, err := p.Take(); !errors.Is(err, ErrExhausted) {
		t.Fatalf("a full pool gave %v, %v", address, err)
	}
	p.Return(netip.MustParseAddr("10.1.1.3"))
	if got := take(t, p); got != "10.1.1.3" {
		t.Fatalf("took %s", got)
	}
}

func TestAnAddressGivenBackIsNotTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last")
	p := pool(t, "10.1.1.0/24", path)
	first := take(t, p)
	p.Return(netip.MustParseAddr(first))
	if again := take(t, p); again == first {
		t.Fatalf("%s was given twice", again)
	}
	restarted := pool(t, "10.1.1.0/24", path)
	restarted.Keep(netip.MustParseAddr("10.1.1.3"))
	if got := take(t, restarted); got != "10.1.1.4" {
		t.Fatalf("took %s after a restart with .2 given last and .3 in use", got)
	}
}
