package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PasswordFunc returns the password for a new connection: to an endpoint, as host:port, as a user.
type PasswordFunc func(ctx context.Context, endpoint, user string) (string, error)

// poolConfig returns how the pool connects to the database at a URL, which is the configuration's own or that of its replica.
func (c Config) poolConfig(url string) (*pgxpool.Config, error) {
	withDefaults, err := c.connString(url)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(withDefaults)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", err) // pgx leaves the password out of its errors
	}
	if err := c.checkPassword(config.ConnConfig); err != nil {
		return nil, err
	}
	config.MaxConns = c.MaxConns
	config.MaxConnLifetime = c.MaxConnLifetime
	config.MaxConnLifetimeJitter = c.MaxConnLifetime / 5 // so that those of one start do not all end at once
	if config.ConnConfig.ConnectTimeout == 0 {           // the URL may say otherwise
		// What waits for a connection holds a place in the pool, also when nobody waits for it any more.
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = c.ApplicationName
	params["statement_timeout"] = strconv.FormatInt(max(1, c.StatementTimeout.Milliseconds()), 10)
	params["idle_in_transaction_session_timeout"] = "60000" // ms; a client that hangs must not hold locks for ever
	params["timezone"] = "UTC"
	// Connections live long and tables grow under them: a plan that was made while a month was empty, and kept, reads all of a tenant for
	// one journey, and all traces for a batch, until the month is analysed. Planning each time costs a fraction of a millisecond,
	// but for large batches: see keepPlans.
	if params["plan_cache_mode"] == "" {
		params["plan_cache_mode"] = "force_custom_plan"
	}
	config.BeforeConnect = c.authenticate
	return config, nil
}

// authenticate gives a connection that is about to be made its password.
func (c Config) authenticate(ctx context.Context, config *pgx.ConnConfig) error {
	if c.Password == nil {
		return nil
	}
	password, err := c.Password(ctx, endpoint(config.Host, config.Port), config.User)
	if err != nil {
		return fmt.Errorf("get a password for the database: %w", err)
	}
	config.Password = password
	return nil
}

func endpoint(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// connString returns a URL with our defaults for what it leaves open. To a host of another machine a connection is encrypted and the
// server's name verified, where libpq would make do with none of it.
func (c Config) connString(raw string) (string, error) {
	plain, err := pgconn.ParseConfig(raw)
	if err != nil {
		return "", fmt.Errorf("parse database URL: %w", err)
	}
	defaults := map[string]string{}
	if c.CAFile != "" {
		defaults["sslrootcert"] = c.CAFile
	}
	if os.Getenv("PGSSLMODE") == "" && (c.CAFile != "" || slices.ContainsFunc(hosts(plain), remote)) {
		defaults["sslmode"] = "verify-full"
	}
	return withSettings(raw, defaults)
}

// withSettings adds settings to a connection string that does not have them.
func withSettings(raw string, settings map[string]string) (string, error) {
	if !strings.HasPrefix(raw, "postgres://") && !strings.HasPrefix(raw, "postgresql://") {
		var text strings.Builder
		for key, value := range settings {
			if !namedIn(raw, key) {
				fmt.Fprintf(&text, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
			}
		}
		return text.String() + raw, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("parse database URL: it is malformed") // what url says holds the password
	}
	query := u.Query()
	for key, value := range settings {
		// ssl=true is how JDBC writes sslmode=require.
		if !query.Has(key) && (key != "sslmode" || !query.Has("ssl")) {
			query.Set(key, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// namedIn reports whether a connection string of keywords and values has a keyword. Within a quoted value it may be mistaken: the
// keyword then counts as given, and what it would have defaulted to is as libpq has it.
func namedIn(raw, keyword string) bool {
	return regexp.MustCompile(`(?:^|\s)` + keyword + `\s*=`).MatchString(raw)
}

// attempt is one way to connect that pgx tries.
type attempt struct {
	host string
	tls  *tls.Config
}

func attempts(config *pgconn.Config) []attempt {
	list := make([]attempt, 0, 1+len(config.Fallbacks))
	list = append(list, attempt{config.Host, config.TLSConfig})
	for _, f := range config.Fallbacks {
		list = append(list, attempt{f.Host, f.TLSConfig})
	}
	return list
}

func hosts(config *pgconn.Config) []string {
	all := attempts(config)
	list := make([]string, len(all))
	for i, a := range all {
		list[i] = a.host
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// remote reports whether what is sent to a host leaves this machine.
func remote(host string) bool {
	if network, _ := pgconn.NetworkAddress(host, 5432); network == "unix" || host == "localhost" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// trusted reports whether a connection is encrypted to a server that has proven who it is.
func (a attempt) trusted() bool {
	return a.tls != nil && (!a.tls.InsecureSkipVerify || a.tls.VerifyPeerCertificate != nil || a.tls.VerifyConnection != nil)
}

// checkPassword refuses to send a password that was made for the connection to whoever listens.
func (c Config) checkPassword(config *pgx.ConnConfig) error {
	if c.Password == nil {
		return nil
	}
	for _, a := range attempts(&config.Config) {
		if remote(a.host) && !a.trusted() {
			return fmt.Errorf("the token for %s could be read on its way: use sslmode=verify-full", a.host)
		}
	}
	if hosts := hosts(&config.Config); len(hosts) > 1 {
		return fmt.Errorf("a token is for one endpoint, and the database URL has %d: %s", len(hosts), strings.Join(hosts, ", "))
	}
	return nil
}

// Unencrypted returns the hosts of other machines to which connections may be made without encryption: the URLs say so.
func (c Config) Unencrypted() ([]string, error) {
	var found []string
	for _, url := range []string{c.URL, c.ReadURL} {
		if url == "" {
			continue
		}
		config, err := c.withDefaults().poolConfig(url)
		if err != nil {
			return nil, err
		}
		for _, a := range attempts(&config.ConnConfig.Config) {
			if a.tls == nil && remote(a.host) {
				found = append(found, a.host)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// connectAlone makes a connection as a pool would, beside it.
func connectAlone(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	config := pool.Config()
	if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config.ConnConfig)
}
