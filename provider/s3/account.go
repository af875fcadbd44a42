package s3

import (
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/provider"
)

type account struct {
	client  *s3.Client
	clock   *provider.Clock
	flavor  *Flavor
	region  string
	regions regions
}

type bucket struct {
	account *account
	name    string

	firstVersion atomic.Bool // the server knows only version 1 of lists
	start        startCheck
}

// startCheck is what is known of how a server takes start-after with such characters.
type startCheck struct{ atomic.Int32 }

// regions remember in which region a bucket was found, when it is not the account's. The
// empty name is for the account as a whole. The zero value is ready.
type regions struct {
	mu     sync.RWMutex
	byName map[string]string
}
