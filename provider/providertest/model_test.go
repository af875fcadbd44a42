package providertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"firescan/provider"
	"firescan/provider/mem"
)

// TestTheSuiteSeesFaults spoils pages in the ways in which servers are known to, and
// holds that the suite's own tools see each of them.
func TestTheSuiteSeesFaults(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e", "f", "g"}
	for name, spoil := range map[string]func(req provider.ListRequest, page *provider.Page){
		"a key is lost":      func(_ provider.ListRequest, p *provider.Page) { p.Objects = p.Objects[1:] },
		"the end is lost":    func(_ provider.ListRequest, p *provider.Page) { p.More = false },
		"keys change places": func(_ provider.ListRequest, p *provider.Page) { slices.Reverse(p.Objects) },
		"a key is doubled": func(_ provider.ListRequest, p *provider.Page) {
			p.Objects = append(p.Objects, p.Objects[len(p.Objects)-1])
		},
		"the list stands":    func(req provider.ListRequest, p *provider.Page) { p.Next, p.More = req.Start, true },
		"the list goes back": func(_ provider.ListRequest, p *provider.Page) { p.Next = string(p.Objects[0].Key) },
		"a key is garbled":   func(_ provider.ListRequest, p *provider.Page) { p.Objects[0].Key[0] = '?' },
	} {
		t.Run(name, func(t *testing.T) {
			a := mem.New(mem.Options{PageSize: 3, Faults: mem.Faults{
				AfterList: func(_ context.Context, _ string, req provider.ListRequest, page *provider.Page) error {
					spoil(req, page)
					return nil
				},
			}})
			a.Fill("bucket", 1, time.Now(), keys...)
			got, err := walk(t.Context(), a.Bucket("bucket"), provider.ListRequest{})
			if diff := expect(keys, provider.ListRequest{}).differs(got); err == nil && diff == "" {
				t.Errorf("not seen: %+v", got)
			}
		})
	}
}

func TestExpect(t *testing.T) {
	keys := []string{"a", "a/1", "a/2", "b/1", "c"}
	for _, c := range []struct {
		req                   provider.ListRequest
		keys, prefixes, maybe []string
	}{
		{req: provider.ListRequest{}, keys: keys},
		{req: provider.ListRequest{Prefix: "a/"}, keys: []string{"a/1", "a/2"}},
		{req: provider.ListRequest{Start: "a/2", End: "c"}, keys: []string{"a/2", "b/1"}},
		{req: provider.ListRequest{Delimiter: "/"}, keys: []string{"a", "c"}, prefixes: []string{"a/", "b/"}},
		{
			req: provider.ListRequest{Delimiter: "/", Start: "a/2"}, keys: []string{"c"},
			prefixes: []string{"a/", "b/"}, maybe: []string{"a/"},
		},
		{req: provider.ListRequest{Delimiter: "/", Start: "a/3"}, keys: []string{"c"}, prefixes: []string{"b/"}, maybe: []string{"a/"}},
	} {
		got := expect(keys, c.req)
		if !slices.Equal(got.keys, c.keys) || !slices.Equal(got.prefixes, c.prefixes) || !slices.Equal(got.maybe, c.maybe) {
			t.Errorf("%+v: %+v", c.req, got)
		}
	}
}
