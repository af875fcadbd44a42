package api

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/provider/mem"
)

// TestConcurrentUpdates changes the name and the region of a destination at once:
// neither change is lost.
func TestConcurrentUpdates(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := "/api/v1/storage/destinations/" + r.destination()
	for round := range 50 {
		name, region := fmt.Sprint("name-", round), fmt.Sprint("region-", round)
		var both sync.WaitGroup
		for _, body := range []string{`{"name":"` + name + `"}`, `{"region":"` + region + `"}`} {
			both.Go(func() {
				if a := r.do(catalog.RoleOwner, "PUT", path, body); a.status != 200 {
					t.Errorf("PUT %s: %d %s", body, a.status, a.raw)
				}
			})
		}
		both.Wait()
		if a := r.owner("GET", path, ""); a.at("data", "name") != name || a.at("data", "region") != region {
			t.Fatalf("round %d: one of two changes was lost: %s", round, a.raw)
		}
	}
}

// TestUpdateDuringDeletion: a refusal that is no race is not tried again.
func TestUpdateDuringDeletion(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.propose(&pb.BeginDelete{Org: org, DestinationId: id, Id: "del_1", Who: "tok", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte("backups/production/a.backup")}})
	var tries atomic.Int32
	r.replog.SetHook(func(_ context.Context, p *catalogtest.Proposal, commit func() error) error {
		if _, ok := p.Commands[0].(*pb.PutDestination); ok {
			tries.Add(1)
		}
		return commit()
	})
	r.do(catalog.RoleOwner, "PUT", "/api/v1/storage/destinations/"+id, `{"path":"other","credentials":{"secretAccessKey":"mine"}}`).refused(409, CodeConflict)
	if n := tries.Load(); n != 1 {
		t.Errorf("%d proposals", n)
	}
}

// TestMoveNeedsCredentials: who may edit a destination cannot use its credentials elsewhere.
func TestMoveNeedsCredentials(t *testing.T) {
	const (
		secret = `"credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"mine"}`
		google = `"credentials":{"credentials":{"type":"service_account","project_id":"p","private_key_id":"0123456789"}}`
		s3     = `{"name":"d","type":"S3","bucket":"backups-bucket","path":"a","region":"us-east-1",` + secret + `}`
		gcs    = `{"name":"d","type":"gcs","bucket":"backups-bucket",` + google + `}`
		file   = `{"name":"d","type":"gcs","bucket":"backups-bucket","credentials":{"keyFilename":"k.json"}}`
		none   = `{"name":"d","type":"gcs","bucket":"backups-bucket","endpoint":"http://allowed.emulator:4443","credentials":{"projectId":"p"}}`
	)
	r := newRig(t, mem.Options{})
	for _, x := range []struct {
		destination, change string
		allowed             bool // for a member
	}{
		{s3, `"bucket":"other-bucket"`, false},
		{s3, `"path":""`, false},
		{s3, `"region":"eu-west-1"`, false},
		{s3, `"endpoint":"http://allowed.other:9000"`, false},
		{s3, `"bucket":"other-bucket","credentials":{"accessKeyId":"AKIA...MPLE"}`, false},
		{s3, `"bucket":"other-bucket","credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE"}`, false},
		{s3, `"bucket":"other-bucket","credentials":{"secretAccessKey":"mine"}`, true},
		{s3, `"bucket":"other-bucket",` + secret, true},
		{s3, `"name":"e","type":"s3","bucket":"backups-bucket","path":"/a/","region":"us-east-1","endpoint":""`, true},
		{s3, `"credentials":{"secretAccessKey":"another"}`, true},
		{s3, `"stemRule":"knownSuffix"`, true},
		{gcs, `"bucket":"other-bucket","credentials":{"projectId":"q"}`, false},
		{gcs, `"bucket":"other-bucket",` + google, true},
		{gcs, `"bucket":"other-bucket","credentials":{"keyFilename":"k.json"}`, true},
		{file, `"bucket":"other-bucket","credentials":{"keyFilename":"k.json"}`, false},
		{file, `"endpoint":"http://allowed.other:9000","credentials":{"keyFilename":"","projectId":"p"}`, false},
		{none, `"bucket":"other-bucket"`, true},
	} {
		path := destinationsPath + "/" + r.owner("POST", destinationsPath, x.destination).at("data", "id").(string)
		a := r.do(catalog.RoleMember, "PUT", path, "{"+x.change+"}")
		if x.allowed && a.status != 200 || !x.allowed && (a.status != 403 || a.at("error", "code") != string(CodeDenied)) {
			t.Errorf("%s of %s by a member: %s", x.change, x.destination, a.raw)
		}
		if a = r.do(catalog.RoleAdmin, "PUT", path, "{"+x.change+"}"); a.status != 200 && !strings.Contains(x.change, `"keyFilename":""`) {
			t.Errorf("%s of %s by an admin: %s", x.change, x.destination, a.raw)
		}
	}
}
