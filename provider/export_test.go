package provider

import "net"

// ResolveWith has names resolved by r.
func (e *Egress) ResolveWith(r *net.Resolver) { e.resolver = r }
