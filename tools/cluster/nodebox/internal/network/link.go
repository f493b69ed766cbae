package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"bramble.dev/nodebox/internal/namespaces"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// PodInterface is the pod's end of its link.
	PodInterface = "eth0"
	linkPrefix   = "pod"
	linkDigits   = 12 // a link's name has at most 15 characters

	forwarding = "/proc/sys/net/ipv4/ip_forward"
)

// gateway is the next hop of every pod: an address that nobody has. A permanent neighbour entry gives it the hardware address of the
// node's end, so that no pod ever asks for it. Pods are routed and not bridged: Service addresses work between pods of one node.
var gateway = net.IPv4(169, 254, 1, 1)

// podSettings are written below /proc/sys in a pod's network namespace, before those that the pod asks for.
var podSettings = map[string]string{
	"net.ipv6.conf.all.disable_ipv6":      "1", // the cluster is IPv4 only
	"net.ipv6.conf.default.disable_ipv6":  "1",
	"net.ipv4.ip_unprivileged_port_start": "0", // as containerd and Docker do: port 80 without a capability
	"net.ipv4.ping_group_range":           "0 2147483647",
}

// Link joins pods to the node that this process runs in.
type Link struct {
	// Node is the address that the node has towards its pods.
	Node net.IP
}

// Ready says why pods could not reach anything; nil when they can.
func Ready() error {
	content, err := os.ReadFile(forwarding)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(content)) != "1" {
		return errors.New("the node does not forward packets: sysctl -w net.ipv4.ip_forward=1 in its network namespace")
	}
	return nil
}

// Name is the node's end of a pod's link.
func Name(sandbox string) string { return linkPrefix + sandbox[:linkDigits] }

// Prepare sets up a fresh network and IPC namespace: loopback and kernel settings, the pod's own ones last.
func Prepare(pid int, settings map[string]string) error {
	return namespaces.Do(namespaces.Paths(pid, "net", "ipc", "uts"), func() error {
		for _, group := range []map[string]string{podSettings, settings} {
			for name, value := range group {
				if err := writeSetting(name, value); err != nil {
					return err
				}
			}
		}
		loopback, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(loopback)
	})
}

func writeSetting(name, value string) error {
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	err := os.WriteFile(path, []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(name, "net.ipv6.") {
		return nil // a kernel without IPv6 has nothing to turn off
	}
	return err
}

// Connect makes the link between the node and the pod whose first process is `pid`.
func (l Link) Connect(sandbox string, pid int, address netip.Addr) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = Name(sandbox)
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: PodInterface, PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("link %s: %w", attributes.Name, err)
	}
	outer, err := netlink.LinkByName(attributes.Name)
	if err != nil {
		return err
	}
	var inner net.HardwareAddr
	err = namespaces.Do(namespaces.Paths(pid, "net"), func() error {
		inner, err = l.podSide(address, outer.Attrs().HardwareAddr)
		return err
	})
	if err != nil {
		return fmt.Errorf("pod's end of the link: %w", err)
	}
	if err := l.nodeSide(outer, address, inner); err != nil {
		return fmt.Errorf("node's end of the link: %w", err)
	}
	return nil
}

func (l Link) podSide(address netip.Addr, router net.HardwareAddr) (net.HardwareAddr, error) {
	link, err := netlink.LinkByName(PodInterface)
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: host(address.AsSlice())}); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, err
	}
	index := link.Attrs().Index
	if err := netlink.NeighSet(neighbour(index, gateway, router)); err != nil {
		return nil, err
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: host(gateway), Scope: netlink.SCOPE_LINK}); err != nil {
		return nil, err
	}
	everywhere := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	route := &netlink.Route{LinkIndex: index, Dst: everywhere, Gw: gateway, Flags: int(netlink.FLAG_ONLINK)}
	return link.Attrs().HardwareAddr, netlink.RouteAdd(route)
}

func (l Link) nodeSide(link netlink.Link, address netip.Addr, pod net.HardwareAddr) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	index := link.Attrs().Index
	if err := netlink.NeighSet(neighbour(index, address.AsSlice(), pod)); err != nil {
		return err
	}
	// A link that the kernel has not cleaned up yet may still hold the route.
	return netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: host(address.AsSlice()), Scope: netlink.SCOPE_LINK, Src: l.Node})
}

// Disconnect removes a pod's link; one that is gone is no error.
func Disconnect(sandbox string) error {
	link, err := netlink.LinkByName(Name(sandbox))
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

func host(ip net.IP) *net.IPNet {
	if four := ip.To4(); four != nil {
		ip = four
	}
	bits := len(ip) * 8
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, bits)}
}

func neighbour(link int, ip net.IP, hardware net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: link, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: hardware}
}
