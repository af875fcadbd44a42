package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firescan/api"
)

// rootTokenVariable has no flag: other users can see command lines.
const rootTokenVariable = envPrefix + "ROOT_TOKEN"

// ofServices matches the variables that Kubernetes and Docker set in each container for a
// service with the name firescan, or one that begins with it. See "Environment variables" in
// https://kubernetes.io/docs/concepts/services-networking/service/.
var ofServices = regexp.MustCompile(`^FIRESCAN_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// knownVariables returns the variables of all flags of a command and its subcommands.
func knownVariables(cmd *cobra.Command) []string {
	known := []string{rootTokenVariable}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if hasVariable(f) {
			known = append(known, envName(f.Name))
		}
	})
	for _, sub := range cmd.Commands() {
		known = append(known, knownVariables(sub)...)
	}
	return known
}

// checkEnvironment refuses variables that no command reads: a misspelled one would have no
// effect.
func checkEnvironment(root *cobra.Command, environment []string) error {
	known := knownVariables(root)
	slices.Sort(known)
	for _, pair := range slices.Sorted(slices.Values(environment)) {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || value == "" || ofServices.MatchString(name) {
			continue
		}
		if _, ok := slices.BinarySearch(known, name); !ok {
			return usagef("%s is not a variable of firescan: did you mean %s?", name, nearest(name, known))
		}
	}
	return nil
}

// nearest returns the name with the fewest edits from the given one.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return api.Distance(a, name) - api.Distance(b, name) })
}
