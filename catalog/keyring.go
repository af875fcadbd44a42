package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// A Keyring encrypts the credentials of destinations. Its keys are a Tink keyset that is
// stored in the catalog, encrypted with a key that is not, so that a copy of the catalog
// decrypts nothing. It is safe for concurrent use.
type Keyring struct {
	aead tink.AEAD
}

// keysetContext binds the encrypted keyset to its purpose.
const keysetContext = "firescan credential keyset v1"

// NewKeyset returns a new keyset of one AES-256-GCM key, encrypted with the 32-byte kek,
// for PutKeyset.
func NewKeyset(kek []byte) ([]byte, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make a credential keyset: %w", err)
	}
	return sealKeyset(kek, h)
}

// OpenKeyring decrypts a keyset with the kek that it was made with.
func OpenKeyring(kek, encrypted []byte) (*Keyring, error) {
	h, err := openKeyset(kek, encrypted)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("use the credential keyset: %w", err)
	}
	return &Keyring{aead: a}, nil
}

// Rotate adds a key to a keyset and makes it the one that encrypts. The previous key
// stays, since a node may be encrypting with it at present; older keys are removed.
// Before the next rotation the caller must encrypt all credentials again (see Reseal).
func Rotate(kek, encrypted []byte) ([]byte, error) {
	h, err := openKeyset(kek, encrypted)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(h)
	info := h.KeysetInfo()
	for _, k := range info.GetKeyInfo() {
		if k.GetKeyId() != info.GetPrimaryKeyId() {
			err = errors.Join(err, m.Delete(k.GetKeyId()))
		}
	}
	id, addErr := m.Add(aead.AES256GCMKeyTemplate())
	if err = errors.Join(err, addErr); err == nil {
		err = m.SetPrimary(id)
	}
	if err == nil {
		h, err = m.Handle()
	}
	if err != nil {
		return nil, fmt.Errorf("rotate the credential keyset: %w", err)
	}
	return sealKeyset(kek, h)
}

// Rewrap encrypts a keyset, unchanged, with another kek.
func Rewrap(kek, next, encrypted []byte) ([]byte, error) {
	h, err := openKeyset(kek, encrypted)
	if err != nil {
		return nil, err
	}
	return sealKeyset(next, h)
}

// Seal encrypts one credential field. The result can be decrypted only as that field of
// that destination of that organization.
func (k *Keyring) Seal(org, dest, field, plain string) ([]byte, error) {
	sealed, err := k.aead.Encrypt([]byte(plain), sealContext(org, dest, field))
	if err != nil {
		return nil, fmt.Errorf("encrypt the credential %s of %s: %w", field, dest, err)
	}
	return sealed, nil
}

// Open decrypts the result of Seal for the same organization, destination and field.
func (k *Keyring) Open(org, dest, field string, sealed []byte) (string, error) {
	plain, err := k.aead.Decrypt(sealed, sealContext(org, dest, field))
	if err != nil {
		return "", fmt.Errorf("the credential %s of %s cannot be decrypted: enter it again: %w", field, dest, err)
	}
	return string(plain), nil
}

// sealContext returns the associated data of a field. Each part is preceded by its
// length, so that different triples give different bytes.
func sealContext(org, dest, field string) []byte {
	var ad []byte
	for _, part := range []string{org, dest, field} {
		ad = binary.BigEndian.AppendUint32(ad, uint32(len(part)))
		ad = append(ad, part...)
	}
	return ad
}

func sealKeyset(kek []byte, h *keyset.Handle) ([]byte, error) {
	master, err := masterKey(kek)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewBinaryWriter(&out), master, []byte(keysetContext)); err != nil {
		return nil, fmt.Errorf("encrypt the credential keyset: %w", err)
	}
	return out.Bytes(), nil
}

func openKeyset(kek, encrypted []byte) (*keyset.Handle, error) {
	master, err := masterKey(kek)
	if err != nil {
		return nil, err
	}
	if len(encrypted) == 0 {
		return nil, errors.New("there is no credential keyset yet")
	}
	h, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(encrypted)), master, []byte(keysetContext))
	if err != nil {
		return nil, fmt.Errorf("the cluster secret does not open the credential keyset: start this node with the secret or master key file that the cluster was made with: %w", err)
	}
	return h, nil
}

func masterKey(kek []byte) (tink.AEAD, error) {
	if len(kek) != 32 {
		return nil, fmt.Errorf("the key of the credential keyset has %d bytes, 32 are needed", len(kek))
	}
	a, err := subtle.NewAESGCM(kek)
	if err != nil {
		return nil, fmt.Errorf("the key of the credential keyset: %w", err)
	}
	return a, nil
}
