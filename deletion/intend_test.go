package deletion

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"firescan/provider/mem"
)

// TestIntentThatWasNotConfirmed: what may have been announced is taken back, so that nobody
// has to wait for it.
func TestIntentThatWasNotConfirmed(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "a.backup")
	lost := errors.New("the answer was lost")
	r.set(nil, func(_ int, what string) error {
		if what == "BeginDelete" {
			return lost
		}
		return nil
	})
	req := FilesRequest{Destination: r.destination(destID), Paths: [][]byte{[]byte("a.backup")}}
	if _, err := r.deleter.DeleteFiles(context.Background(), req); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
	r.deleter.work.Wait() // for what it does behind the request
	if n := r.intents(); len(n) > 0 || len(r.keys("")) != 1 {
		t.Errorf("intents %v, left %q", n, r.keys(""))
	}
}

// TestNothingIsBegunWithoutTheCatalog asks it once, and not for each batch.
func TestNothingIsBegunWithoutTheCatalog(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	var paths [][]byte
	for i := range 30 {
		name := fmt.Sprintf("%02d.backup", i)
		r.account.Fill(bucket, 10, old, name)
		r.backup(name, name)
		paths = append(paths, []byte(name))
	}
	r.delete() // learns the conditions
	r.deleter.limits.paths = 5
	lost := errors.New("no leader")
	begun := 0
	r.set(func(_ int, what string) error {
		switch what {
		case "list": // of the credentials
			return nil
		case "BeginDelete":
			begun++
		}
		return lost
	}, nil)
	if _, err := r.deleter.DeleteFiles(context.Background(), FilesRequest{Destination: r.destination(destID), Paths: paths}); !errors.Is(err, lost) || begun != 1 {
		t.Errorf("files: %v after %d tries", err, begun)
	}
	begun = 0
	ids := r.records()
	if _, err := r.deleter.DeleteBackups(context.Background(), BackupsRequest{Destination: r.destination(destID), IDs: ids}); !errors.Is(err, lost) || begun != 1 {
		t.Errorf("backups: %v after %d tries", err, begun)
	}
	r.deleter.Close()
	r.set(nil, nil)
	if _, err := r.deleter.DeleteFiles(context.Background(), FilesRequest{Destination: r.destination(destID), Paths: paths}); !errors.Is(err, ErrStopping) {
		t.Errorf("after Close: %v", err)
	}
	if len(r.keys("")) != 30 || len(r.records()) != 30 {
		t.Error("something was deleted")
	}
}
