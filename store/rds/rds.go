// Package rds signs in to databases of Amazon RDS and Aurora by IAM: instead of a password a connection sends a token that is signed
// with AWS credentials (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html).
package rds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
)

// Tokens signs tokens. It is safe for concurrent use.
type Tokens struct {
	load func(context.Context) (aws.Config, error)

	mu     sync.Mutex
	config *aws.Config // once it was loaded
}

// New returns what signs tokens with the credentials, and where an endpoint does not name one for the region, that the AWS SDK finds.
// They are looked for when the first token is asked for.
func New() *Tokens {
	return &Tokens{load: func(ctx context.Context) (aws.Config, error) { return awsconfig.LoadDefaultConfig(ctx) }}
}

// Token returns a token for a connection to an endpoint, as host:port, as a user of the database. It can be used for 15 minutes, to
// connect; the connection may last longer. It is as secret as a password.
func (t *Tokens) Token(ctx context.Context, endpoint, user string) (string, error) {
	if user == "" {
		return "", errors.New("sign a token for the database: its URL names no user")
	}
	config, err := t.settings(ctx)
	if err != nil {
		return "", err
	}
	region := regionOf(endpoint)
	if region == "" {
		region = config.Region
	}
	if region == "" {
		return "", fmt.Errorf("sign a token for the database: %s names no AWS region; set AWS_REGION", endpoint)
	}
	token, err := auth.BuildAuthToken(ctx, endpoint, region, user, config.Credentials)
	if err != nil {
		return "", fmt.Errorf("sign a token for the database: %w", err)
	}
	return token, nil
}

// settings returns what the SDK finds. What it does not find is looked for again the next time.
func (t *Tokens) settings(ctx context.Context) (aws.Config, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.config == nil {
		config, err := t.load(ctx)
		if err != nil {
			return aws.Config{}, fmt.Errorf("load AWS configuration: %w", err)
		}
		t.config = &config
	}
	return *t.config, nil
}

// endpointName is a name that RDS gives: of an instance, a cluster or a proxy.
var endpointName = regexp.MustCompile(`\.([a-z]{2}(?:-[a-z]+)+-\d+)\.rds\.amazonaws\.com(?:\.cn)?$`)

// regionOf returns the region in the name of an endpoint; empty when it has none.
func regionOf(endpoint string) string {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return ""
	}
	if match := endpointName.FindStringSubmatch(strings.TrimSuffix(strings.ToLower(host), ".")); match != nil {
		return match[1]
	}
	return ""
}
