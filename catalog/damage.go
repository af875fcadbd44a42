package catalog

import (
	"errors"
	"fmt"
)

// damageAdvice ends the messages of damage.
const damageAdvice = "nothing is deleted through this node; in a cluster it replaces its catalog by that of another node, " +
	"a single node needs a copy of its data directory, or a new one and an import of all records"

// damaged returns an ErrCatalogDamaged.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", ErrCatalogDamaged, fmt.Errorf(format, args...), damageAdvice)
}

// Damage returns the first damage that was found in the catalog file, as an
// ErrCatalogDamaged; nil when there is none. Only Restore ends it.
func (c *Catalog) Damage() error {
	if err := c.damage.Load(); err != nil {
		return *err
	}
	return nil
}

// MarkDamaged records that the catalog is damaged, for a reason that this node cannot find
// in the file by itself: other nodes have another state.
func (c *Catalog) MarkDamaged(reason string) error {
	err := damaged("%s", reason)
	c.noteDamage(err)
	return err
}

// noteDamage records the damage that an error reports, if it does.
func (c *Catalog) noteDamage(err error) {
	if errors.Is(err, ErrCatalogDamaged) && c.damage.CompareAndSwap(nil, &err) {
		c.damages.Add(1)
		c.log.Error("the catalog is damaged", "file", c.path, "error", err)
	}
}
