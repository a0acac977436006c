package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack"
	"github.com/rastrohq/rastro/store"
)

// carrierForm is what a carrier's name in addresses looks like.
var carrierForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// openDatabase connects to the database that RASTRO_DATABASE_URL names, or else to that of the running `rastro dev`, whose key for
// credentials is then in the configuration.
func openDatabase(ctx context.Context) (*store.Store, config.Process, error) {
	process, err := config.FromEnvironment(os.Environ())
	if err != nil {
		return nil, process, exitWith(exitUsage, err)
	}
	if process.Database.URL == "" {
		state, err := devstack.Find(ctx, "")
		if err != nil || state.DatabaseURL == "" {
			return nil, process, exitWith(exitUnreachable, errors.New(
				"RASTRO_DATABASE_URL is not set, and no `rastro dev` runs: say which database, as postgres://user:password@host:5432/rastro"))
		}
		process.Database.URL = state.DatabaseURL
		if process.Credentials.Key == "" {
			secrets, err := loadSecrets(filepath.Join(state.DataDir, "secrets.json"))
			if err != nil {
				return nil, process, err
			}
			process.Credentials.Key = secrets.SessionKey
		}
	}
	db, err := store.Open(ctx, storeConfig(process))
	if err != nil {
		return nil, process, exitWith(exitUnreachable, err)
	}
	if err := checkSchema(ctx, db); err != nil {
		db.Close()
		return nil, process, err
	}
	return db, process, nil
}

// operator is who runs a command on the database, for the audit.
func operator(command string) store.Actor {
	by := store.Actor{Subject: "os:unknown", Client: "rastro " + command}
	if u, err := user.Current(); err == nil {
		by.Subject, by.Name = "os:"+u.Username, u.Name
	}
	return by
}

// newCredentialCommand makes `rastro credential`.
func newCredentialCommand(streams streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credential",
		Short: "Look after the API keys and signing secrets of carriers that cannot do OpenID Connect",
		Long: `Look after the API keys and signing secrets of carriers that cannot do OpenID Connect. They let a carrier send events, and open
nothing else. A secret is printed once, when it is made; what is done is noted in the audit.

The commands work on the database that RASTRO_DATABASE_URL names, or on that of the running ` + "`rastro dev`" + `. Secrets for
signatures are sealed with RASTRO_CREDENTIALS_KEY, which must be the same for every ingest process.

Exit code 2: the command line is wrong. 4: there is no such credential or tenant. 5: the database cannot be reached.`,
		Example: `  rastro credential create --tenant talma-pe --kind hmac --carrier latam --name "LATAM webhooks"
  rastro credential list --tenant talma-pe
  rastro credential rotate 01890f4e-8c5a-7cc0-9e3f-1a2b3c4d5e6f --grace 48h
  rastro credential revoke 01890f4e-8c5a-7cc0-9e3f-1a2b3c4d5e6f`,
	}
	cmd.AddCommand(newCredentialCreateCommand(streams), newCredentialListCommand(streams), newCredentialRotateCommand(),
		newCredentialRevokeCommand())
	return cmd
}

// made is a credential with the secret that was made for it, which is shown this once.
type made struct {
	store.Credential

	Secret string `json:"secret"`
}

// mint makes a secret for a credential, and what is kept of it.
func mint(process config.Process, c store.Credential) (string, store.CredentialSecret, error) {
	if c.Kind == store.CredentialAPIKey {
		return auth.NewAPIKey()
	}
	vault, err := newVault(process)
	if err != nil {
		return "", store.CredentialSecret{}, err
	}
	if vault == nil {
		return "", store.CredentialSecret{}, exitWith(exitUsage, errors.New(
			"RASTRO_CREDENTIALS_KEY is not set: secrets for signatures are sealed with it; `openssl rand -hex 32` makes one"))
	}
	return vault.NewWebhookSecret(c.ID)
}

func (m made) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, m)
	}
	_, err := fmt.Fprintf(out, "Credential  %s\nTenant      %s\nSecret      %s\n\nThe secret is not shown again.\n", m.ID, clean(m.TenantID), m.Secret)
	return err
}

// addOutput adds the flag that says how to print.
func addOutput(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "text", "text or json")
}

func isJSON(format string) (bool, error) {
	if format != "text" && format != "json" {
		return false, exitWith(exitUsage, fmt.Errorf("--output is %q; it is text or json", format))
	}
	return format == "json", nil
}

func newCredentialCreateCommand(streams streams) *cobra.Command {
	c := store.Credential{Roles: []string{auth.RoleEventsWrite}}
	var expires time.Duration
	var kind, format string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an API key or a signing secret",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			if c.Kind = strings.ReplaceAll(kind, "-", "_"); c.Kind != store.CredentialAPIKey && c.Kind != store.CredentialHMAC {
				return exitWith(exitUsage, fmt.Errorf("--kind is %q; it is api-key or hmac", kind))
			}
			if c.Carrier != "" && !carrierForm.MatchString(c.Carrier) {
				return exitWith(exitUsage, fmt.Errorf("--carrier is %q; write it with letters, digits, - and _ as it stands in the address", c.Carrier))
			}
			if c.Source == "" {
				c.Source = c.Carrier
			}
			if expires < 0 {
				return exitWith(exitUsage, errors.New("--expires says in how long, such as 8760h"))
			}
			if expires > 0 {
				at := streams.now().Add(expires).UTC().Truncate(time.Second)
				c.ExpiresAt = &at
			}
			return createCredential(cmd, c, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.TenantID, "tenant", "", "the tenant that events are sent for")
	flags.StringVar(&kind, "kind", "api-key", "api-key, or hmac for signatures as in Standard Webhooks")
	flags.StringVar(&c.Name, "name", "", "what it is for, for people")
	flags.StringVar(&c.Carrier, "carrier", "", "the carrier whose address it opens (default: none)")
	flags.StringVar(&c.Source, "source", "", "the source that its events come from; others are rejected (default: the carrier; any without one)")
	flags.DurationVar(&expires, "expires", 0, "in how long it expires (default: never)")
	addOutput(cmd, &format)
	_ = cmd.MarkFlagRequired("tenant") // fails only for a flag that is not there
	return cmd
}

func createCredential(cmd *cobra.Command, c store.Credential, asJSON bool) error {
	db, process, err := openDatabase(cmd.Context())
	if err != nil {
		return err
	}
	defer db.Close()
	if c.ID, err = uuid.NewV7(); err != nil {
		return fmt.Errorf("identify credential: %w", err)
	}
	secret, kept, err := mint(process, c)
	if err != nil {
		return err
	}
	if err := db.CreateCredential(cmd.Context(), c, kept, operator("credential create")); err != nil {
		return notThere(err)
	}
	return made{c, secret}.print(cmd.OutOrStdout(), asJSON)
}

// notThere gives what is not there its exit code.
func notThere(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return exitWith(exitNotFound, err)
	}
	return err
}

func newCredentialListCommand(streams streams) *cobra.Command {
	var tenant, format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List credentials; never their secrets",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			db, _, err := openDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			all, err := db.Credentials(cmd.Context(), tenant)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			rows := make([][]string, len(all))
			for i, c := range all {
				rows[i] = credentialRow(c, streams.now())
			}
			return writeClean(cmd.OutOrStdout(), []string{"ID", "TENANT", "KIND", "NAME", "CARRIER", "SOURCE", "STATE", "LAST USED", "SECRETS"}, rows)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "those of one tenant (default: of all)")
	addOutput(cmd, &format)
	return cmd
}

func credentialRow(c store.Credential, now time.Time) []string {
	state := "active"
	switch {
	case c.RevokedAt != nil:
		state = "revoked"
	case c.ExpiresAt != nil && !now.Before(*c.ExpiresAt):
		state = "expired"
	}
	used := "never"
	if c.LastUsedAt != nil {
		used = c.LastUsedAt.Format(time.RFC3339)
	}
	secrets := make([]string, 0, len(c.Secrets))
	for _, s := range c.Secrets {
		text := firstOf(s.Prefix, "sealed")
		if s.EndsAt != nil {
			text += " until " + s.EndsAt.Format(time.RFC3339)
		}
		secrets = append(secrets, text)
	}
	return []string{c.ID.String(), c.TenantID, c.Kind, c.Name, c.Carrier, c.Source, state, used, strings.Join(secrets, ", ")}
}

func newCredentialRotateCommand() *cobra.Command {
	var grace time.Duration
	var format string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make a new secret; the one before goes on working for a while",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			id, err := credentialID(args[0])
			if err != nil {
				return err
			}
			if grace < 0 {
				return exitWith(exitUsage, errors.New("--grace says for how long, such as 24h"))
			}
			db, process, err := openDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			kind, err := credentialKind(cmd.Context(), db, id)
			if err != nil {
				return err
			}
			secret, kept, err := mint(process, store.Credential{ID: id, Kind: kind})
			if err != nil {
				return err
			}
			c, err := db.RotateCredential(cmd.Context(), id, kept, grace, operator("credential rotate"))
			if err != nil {
				return notThere(err)
			}
			return made{c, secret}.print(cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", 24*time.Hour, "how long the secret before goes on working; 0s ends it at once")
	addOutput(cmd, &format)
	return cmd
}

func credentialKind(ctx context.Context, db *store.Store, id uuid.UUID) (string, error) {
	all, err := db.Credentials(ctx, "")
	if err != nil {
		return "", err
	}
	for _, c := range all {
		if c.ID == id {
			return c.Kind, nil
		}
	}
	return "", notThere(fmt.Errorf("credential %s: %w", id, store.ErrNotFound))
}

func credentialID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, exitWith(exitUsage, fmt.Errorf("%q is no credential's id; `rastro credential list` shows them", text))
	}
	return id, nil
}

func newCredentialRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a credential; every process refuses it within seconds",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := credentialID(args[0])
			if err != nil {
				return err
			}
			db, _, err := openDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			c, err := db.RevokeCredential(cmd.Context(), id, operator("credential revoke"))
			if err != nil {
				return notThere(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Credential %s of %s is revoked.\n", c.ID, clean(c.TenantID))
			return err
		},
	}
}
