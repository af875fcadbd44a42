package node

import (
	"crypto/x509"
	"fmt"
	"os"

	"firescan/provider"
)

// newEgress returns the rules of where the node connects to for its users.
func newEgress(c *Config) (*provider.Egress, error) {
	cas, err := providerCAs(c.ProviderCAFile)
	if err != nil {
		return nil, err
	}
	return provider.NewEgress(provider.EgressConfig{Allow: c.AllowEndpoints, Proxy: c.EgressProxy, CAs: cas})
}

// checkEgress validates --allow-endpoint and --egress-proxy.
func (c *Config) checkEgress(wrong func(format string, args ...any)) {
	for flag, part := range map[string]provider.EgressConfig{"--allow-endpoint": {Allow: c.AllowEndpoints}, "--egress-proxy": {Proxy: c.EgressProxy}} {
		if egress, err := provider.NewEgress(part); err != nil {
			wrong("%s: %w", flag, err)
		} else {
			egress.Close()
		}
	}
}

// providerCAs returns the CAs of the system and those of a file; nil, for those of the system,
// without a file.
func providerCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // as tls.Config has it
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--provider-ca-file: %w", err)
	}
	cas, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the CAs of the system: %w", err)
	}
	if !cas.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--provider-ca-file: %s has no certificate in PEM format", file)
	}
	return cas, nil
}
