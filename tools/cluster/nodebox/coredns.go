package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"
)

// The plugins of the cluster's DNS, in the order in which they see a query. `template` answers NXDOMAIN for names
// outside the cluster, which nothing can be asked about on a machine without an upstream resolver.
func init() {
	dnsserver.Directives = []string{"reload", "bind", "health", "ready", "errors", "template", "cache", "kubernetes"}
}
