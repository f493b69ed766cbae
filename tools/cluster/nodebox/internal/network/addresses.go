// Package network gives each pod an address of the node's range and a link to it.
package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	"bramble.dev/nodebox/internal/spec"
)

// ErrExhausted means that every address of the node is taken.
var ErrExhausted = errors.New("no free pod address")

// Pool hands out the addresses of one CIDR in turn, so that one given back is not used again soon: connections of the pod that had
// it would reach another. The last one is kept on disk.
type Pool struct {
	mutex  sync.Mutex
	prefix netip.Prefix
	taken  map[netip.Addr]bool
	last   netip.Addr
	path   string
}

// NewPool makes the pool of a CIDR, whose network address is left out.
func NewPool(cidr, path string) (*Pool, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, err
	}
	prefix = prefix.Masked()
	pool := &Pool{prefix: prefix, taken: map[netip.Addr]bool{}, last: prefix.Addr(), path: path}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return pool, nil
	}
	if err != nil {
		return nil, err
	}
	last, err := netip.ParseAddr(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if prefix.Contains(last) {
		pool.last = last
	}
	return pool, nil
}

// CIDR is the range as it was given.
func (p *Pool) CIDR() string { return p.prefix.String() }

// Keep marks an address as taken: that of a pod found at start.
func (p *Pool) Keep(address netip.Addr) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.taken[address] = true
}

// Take gives the next free address.
func (p *Pool) Take() (netip.Addr, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for candidate := p.after(p.last); ; candidate = p.after(candidate) {
		if !p.taken[candidate] {
			if err := spec.WriteFile(p.path, []byte(candidate.String())); err != nil {
				return netip.Addr{}, err
			}
			p.taken[candidate], p.last = true, candidate
			return candidate, nil
		}
		if candidate == p.last || candidate == p.first() && p.last == p.prefix.Addr() {
			return netip.Addr{}, fmt.Errorf("%w: all %d of %s are taken", ErrExhausted, len(p.taken), p.prefix)
		}
	}
}

// Return gives an address back.
func (p *Pool) Return(address netip.Addr) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.taken, address)
}

func (p *Pool) first() netip.Addr { return p.prefix.Addr().Next() }

// after goes round in the range, leaving out the network's own address and the broadcast address of IPv4.
func (p *Pool) after(address netip.Addr) netip.Addr {
	next := address.Next()
	if !p.prefix.Contains(next) || !p.prefix.Contains(next.Next()) {
		return p.first()
	}
	return next
}
