package secrets

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/rastrohq/rastro/internal/secrets/secretfile"
)

// Config says where secrets are.
type Config struct {
	// Lookup returns an environment variable, and whether it is set: os.LookupEnv.
	Lookup func(name string) (string, bool)
	// AWS returns the configuration for AWS Secrets Manager. It is asked when the first secret of it is.
	AWS func(ctx context.Context) (aws.Config, error)
	// Timeout bounds what one secret of AWS may take, retries included.
	Timeout time.Duration
}

// DefaultConfig returns the config of a process: its environment, and AWS as the AWS SDK finds it there.
func DefaultConfig() Config {
	return Config{
		Lookup:  os.LookupEnv,
		AWS:     func(ctx context.Context) (aws.Config, error) { return awsconfig.LoadDefaultConfig(ctx) },
		Timeout: 10 * time.Second,
	}
}

// Source gives values. It is safe for concurrent use.
type Source struct {
	config Config

	mu      sync.Mutex
	aws     *aws.Config
	fetched map[string]fetched
}

type fetched struct {
	value string
	err   error
}

// New returns a Source.
func New(c Config) *Source { return &Source{config: c, fetched: map[string]fetched{}} }

// Variable returns the value of an environment variable, and whether it is set.
func (s *Source) Variable(name string) (value string, set bool) { return s.config.Lookup(name) }

// Secret returns a secret of a source: "env" and a variable's name, "file" and a path, or "aws" and a name or ARN, with
// `#json.key` behind it for a key of the secret's JSON. One newline at the end of a file is not a part of the secret. No error
// says what the secret is.
func (s *Source) Secret(ctx context.Context, source, name string) (string, error) {
	switch source {
	case "env":
		if value, set := s.config.Lookup(name); set {
			return value, nil
		}
		return "", fmt.Errorf("environment variable %s is not set", name)
	case "file":
		return secretfile.Read(name)
	case "aws":
		return s.fromAWS(ctx, name)
	default:
		return "", fmt.Errorf("secrets do not come from %q", source)
	}
}
