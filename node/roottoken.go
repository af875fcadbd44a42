package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// rootTokenID is the id of the root token that nodes manage. An operator may create more.
const rootTokenID = "tok_root"

// ensureRootToken stores a root token if necessary. Only the leader calls it. A given token
// replaces an earlier one. Otherwise the first start creates a token and writes it to a file
// in the data directory, because the catalog has only its hash.
func ensureRootToken(ctx context.Context, c *catalog.Catalog, to proposer, dir *dataDir, given catalog.Secret) error {
	var stored *pb.Token
	err := c.View(func(tx *catalog.Tx) (err error) {
		stored, err = tx.Token(rootTokenID)
		return err
	})
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	token := given.Reveal()
	if token == "" {
		if stored != nil {
			return nil
		}
		if token, err = rootTokenFromFile(dir); err != nil {
			return err
		}
	}
	hash := catalog.HashToken(token)
	if stored != nil && string(stored.Hash) == string(hash) {
		return nil
	}
	_, err = to.Propose(ctx, &pb.PutToken{Token: &pb.Token{
		Id: rootTokenID, Hash: hash, Role: string(catalog.RoleRoot), Name: "root", CreatedAt: time.Now().UnixMilli(),
	}})
	if err != nil {
		return fmt.Errorf("store the root token: %w", err)
	}
	return nil
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
