package provider

import "context"

// around is a bucket every call of which runs inside of a func; the decorators differ in
// that func alone. op is the call's name as in Error.Op.
type around struct {
	inner Bucket
	run   func(ctx context.Context, op string, do func(context.Context) error) error
}

func (a around) List(ctx context.Context, req ListRequest, page *Page) error {
	return a.run(ctx, "list", func(ctx context.Context) error { return a.inner.List(ctx, req, page) })
}

func (a around) Stat(ctx context.Context, key string) (info Info, err error) {
	err = a.run(ctx, "stat", func(ctx context.Context) error {
		info, err = a.inner.Stat(ctx, key)
		return err
	})
	return info, err
}

func (a around) Put(ctx context.Context, key string, body []byte) error {
	return a.run(ctx, "put", func(ctx context.Context) error { return a.inner.Put(ctx, key, body) })
}

func (a around) Delete(ctx context.Context, key string) error {
	return a.run(ctx, "delete", func(ctx context.Context) error { return a.inner.Delete(ctx, key) })
}
