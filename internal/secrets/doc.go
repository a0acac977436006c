// Package secrets reads what references in configs stand for: environment variables, and secrets from the environment, from
// files and from AWS Secrets Manager. A Source is for one load of the configuration: it asks for each secret once.
package secrets
