package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// ensureRootToken stores the root token of a new cluster: the given one, or else a new one,
// which is written to a file in the data directory, because the catalog has only its hash.
// Only the leader calls it. It happens once: a root token that was revoked stays revoked.
func ensureRootToken(ctx context.Context, c *catalog.Catalog, to proposer, dir *dataDir, given catalog.Secret, log *slog.Logger) error {
	token := given.Reveal()
	made, unknown := false, false
	if err := c.View(func(tx *catalog.Tx) error {
		made = tx.RootTokenMade()
		t, err := tx.TokenByHash(catalog.HashToken(token))
		unknown = errors.Is(err, catalog.ErrNotFound) || err == nil && t.Role != string(catalog.RoleRoot)
		return nil
	}); err != nil {
		return err
	}
	if made {
		if token != "" && unknown {
			log.Warn("FIRESCAN_ROOT_TOKEN is not a root token of this cluster and is ignored: it is for the first start; `firescan token recover` makes a new root token")
		}
		return nil
	}
	if token == "" {
		var err error
		if token, err = rootTokenFromFile(dir); err != nil {
			return err
		}
	}
	return putRootToken(ctx, to, token)
}

func putRootToken(ctx context.Context, to proposer, token string) error {
	if _, err := to.Propose(ctx, &pb.PutToken{Token: &pb.Token{
		Id: catalog.RootTokenID, Hash: catalog.HashToken(token), Role: string(catalog.RoleRoot), Name: "root", CreatedAt: time.Now().UnixMilli(),
	}}); err != nil {
		return fmt.Errorf("store the root token: %w", err)
	}
	return nil
}

// RecoverRootToken writes a new root token to the data directory of a stopped node and
// returns the path of its file. At its next start the node makes it the root token of the
// cluster, in place of an earlier one. Other root tokens remain.
func RecoverRootToken(dataDir string) (file string, err error) {
	if _, err := os.Stat(filepath.Join(dataDir, idFile)); err != nil {
		return "", fmt.Errorf("%s is not the data directory of a node: %w", dataDir, err)
	}
	dir, err := openDataDir(dataDir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	// The request comes second: without the token it would mean an old one.
	file = dir.join(rootTokenFile)
	return file, errors.Join(
		writeFile(file, []byte(catalog.NewToken()+"\n")),
		writeFile(dir.join(recoverFile), []byte("The node makes the token in "+rootTokenFile+" the root token at its next start.\n")),
	)
}

// recoverRootToken carries out RecoverRootToken, as soon as the cluster has a leader.
func recoverRootToken(ctx context.Context, to proposer, dir *dataDir, log *slog.Logger) error {
	request := dir.join(recoverFile)
	if _, err := os.Stat(request); err != nil {
		return nil //nolint:nilerr // there is no request
	}
	token, err := rootTokenFromFile(dir)
	if err != nil {
		return err
	}
	put := func() (struct{}, error) { return struct{}{}, putRootToken(ctx, to, token) }
	if _, err := backoff.Retry(ctx, put, backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, _ time.Duration) {
		log.Info("the root token is not replaced yet; retrying", "error", err)
	})); err != nil {
		return err
	}
	log.Warn("the root token was replaced by the one in the data directory, as `firescan token recover` had asked", "file", dir.join(rootTokenFile))
	return os.Remove(request)
}

// rootTokenFromFile returns the token that an earlier start wrote and could not store, or a
// new one. It is in the file before its hash is in the catalog, so that it cannot be lost.
func rootTokenFromFile(dir *dataDir) (string, error) {
	file := dir.join(rootTokenFile)
	text, err := os.ReadFile(file)
	if token := strings.TrimSpace(string(text)); err == nil && len(token) >= minRootToken {
		return token, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the root token: %w", err)
	}
	token := catalog.NewToken()
	return token, writeFile(file, []byte(token+"\n"))
}
