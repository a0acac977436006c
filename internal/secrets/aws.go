package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// fromAWS returns a secret of AWS Secrets Manager, or a key of its JSON. Each secret is fetched once.
func (s *Source) fromAWS(ctx context.Context, name string) (string, error) {
	id, key, hasKey := strings.Cut(name, "#")
	s.mu.Lock()
	defer s.mu.Unlock()
	f, known := s.fetched[id]
	if !known {
		f.value, f.err = s.fetch(ctx, id)
		if ctx.Err() == nil {
			s.fetched[id] = f
		}
	}
	if f.err != nil || !hasKey {
		return f.value, f.err
	}
	return keyOf(f.value, key)
}

func (s *Source) fetch(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	if s.aws == nil {
		loaded, err := s.config.AWS(ctx)
		if err != nil {
			return "", fmt.Errorf("configure AWS: %w", err)
		}
		s.aws = &loaded
	}
	client := secretsmanager.NewFromConfig(*s.aws, func(o *secretsmanager.Options) {
		// arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
		if parts := strings.Split(id, ":"); parts[0] == "arn" && len(parts) > 3 && parts[3] != "" {
			o.Region = parts[3]
		}
	})
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
	if err != nil {
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			return "", fmt.Errorf("AWS Secrets Manager: %s: %s", api.ErrorCode(), api.ErrorMessage())
		}
		return "", fmt.Errorf("AWS Secrets Manager: %w", err)
	}
	if out.SecretString != nil {
		return *out.SecretString, nil
	}
	return string(out.SecretBinary), nil
}

// keyOf returns the scalar that a key of a JSON object holds; the key of an object within one comes behind a dot. A key that
// itself has dots is found as well. What json says of a secret that is none is not told: it quotes it.
func keyOf(secret, key string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(secret))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		return "", errors.New("the secret is not JSON, and has no keys")
	}
	switch value := lookup(root, key).(type) {
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	case bool:
		return fmt.Sprint(value), nil
	case nil:
		return "", fmt.Errorf("the secret's JSON has no key %q", key)
	default:
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return "", fmt.Errorf("key %q of the secret's JSON cannot be written", key)
		}
		return strings.TrimSuffix(text.String(), "\n"), nil
	}
}

func lookup(value any, key string) any {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	if found, ok := object[key]; ok {
		return found
	}
	for at := range len(key) {
		if key[at] != '.' {
			continue
		}
		if inner, ok := object[key[:at]]; ok {
			if found := lookup(inner, key[at+1:]); found != nil {
				return found
			}
		}
	}
	return nil
}
