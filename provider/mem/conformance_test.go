package mem_test

import (
	"testing"

	"firescan/provider"
	"firescan/provider/mem"
	"firescan/provider/providertest"
)

func TestConformance(t *testing.T) {
	open := func(pageSize int) providertest.Open {
		return func(*testing.T) (provider.Account, string) {
			return mem.New(mem.Options{PageSize: pageSize}, "bucket"), "bucket"
		}
	}
	quirks := providertest.Quirks{
		Stranger: func(*testing.T) provider.Account {
			return mem.New(mem.Options{Faults: mem.Broken(provider.Credentials)}, "bucket")
		},
	}
	t.Run("pages of 1,000", func(t *testing.T) { providertest.Run(t, open(0), quirks) })
	t.Run("pages of 4", func(t *testing.T) {
		quirks.SmallPages = true
		providertest.Run(t, open(4), quirks)
	})
}
