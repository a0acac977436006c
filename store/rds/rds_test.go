package rds

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/store"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }

func signing(region string) *Tokens {
	return &Tokens{load: func(context.Context) (aws.Config, error) {
		return aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "the secret key", "the session")}, nil
	}}
}

// requireToken checks that a token is what RDS takes for a password: a request to connect, signed for the endpoint, the region, the user.
func requireToken(t *testing.T, token, endpoint, region, user string) {
	t.Helper()
	u, err := url.Parse("https://" + token)
	require.NoError(t, err)
	require.Equal(t, endpoint, u.Host)
	q := u.Query()
	require.Equal(t, "connect", q.Get("Action"))
	require.Equal(t, user, q.Get("DBUser"))
	require.Equal(t, "AWS4-HMAC-SHA256", q.Get("X-Amz-Algorithm"))
	require.Equal(t, "900", q.Get("X-Amz-Expires"))
	require.Equal(t, "the session", q.Get("X-Amz-Security-Token"))
	require.Regexp(t, "^[0-9a-f]{64}$", q.Get("X-Amz-Signature"))
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	require.Equal(t, "AKIDEXAMPLE/"+at.Format("20060102")+"/"+region+"/rds-db/aws4_request", q.Get("X-Amz-Credential"))
	require.NotContains(t, token, "the+secret+key")
}

func TestTokensAreForTheEndpointsRegion(t *testing.T) {
	t.Parallel()
	for endpoint, region := range map[string]string{
		"rastro.cluster-abc123.sa-east-1.rds.amazonaws.com:5432":        "sa-east-1",
		"rastro.cluster-ro-abc123.us-gov-west-1.rds.amazonaws.com:6000": "us-gov-west-1",
		"rastro.abc123.cn-north-1.rds.amazonaws.com.cn:5432":            "cn-north-1",
		"RASTRO.abc123.EU-WEST-3.rds.amazonaws.com:5432":                "eu-west-3",
		"db.example.com:5432":                 "us-east-2",
		"rds.amazonaws.com.evil.example:5432": "us-east-2",
	} {
		token, err := signing("us-east-2").Token(t.Context(), endpoint, "rastro")
		require.NoError(t, err)
		requireToken(t, token, endpoint, region, "rastro")
	}
}

func TestWhatIsMissingForATokenIsSaid(t *testing.T) {
	t.Parallel()
	_, err := signing("").Token(t.Context(), "db.example.com:5432", "rastro")
	require.ErrorContains(t, err, "set AWS_REGION")
	_, err = signing("us-east-2").Token(t.Context(), "db.example.com:5432", "")
	require.ErrorContains(t, err, "names no user")
	failing := &Tokens{load: func(context.Context) (aws.Config, error) { return aws.Config{}, errors.New("no profile") }}
	_, err = failing.Token(t.Context(), "db.example.com:5432", "rastro")
	require.ErrorContains(t, err, "load AWS configuration: no profile")
	failing.load = signing("us-east-2").load
	_, err = failing.Token(t.Context(), "db.example.com:5432", "rastro")
	require.NoError(t, err, "what was not there is looked for again")
}

// Each connection is made with a token of its own: the server takes that one for the role's password and no other.
func TestConnectionsSignInWithTokens(t *testing.T) {
	t.Parallel()
	databaseURL := databases.URL(t)
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	admin, err := pgx.Connect(t.Context(), databaseURL)
	require.NoError(t, err)
	role := "rastro_iam"
	_, err = admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Exec(context.Background(), "DROP ROLE "+role)
		require.NoError(t, errors.Join(err, admin.Close(context.Background())))
	})
	tokens := signing("us-east-2")
	made := 0
	config := store.Config{URL: "postgres://" + role + "@" + u.Host + u.Path + "?sslmode=disable", MaxConns: 2}
	config.Password = func(ctx context.Context, endpoint, user string) (string, error) {
		token, err := tokens.Token(ctx, endpoint, user)
		if err != nil {
			return "", err
		}
		requireToken(t, token, net.JoinHostPort(u.Hostname(), u.Port()), "us-east-2", role)
		require.NotContains(t, token, "'")
		_, err = admin.Exec(ctx, "ALTER ROLE "+role+" PASSWORD '"+token+"'")
		made++
		return token, err
	}
	db, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, db.Ping(t.Context()))
	db.Close()
	require.Equal(t, 1, made)

	var token string
	config.Password = func(ctx context.Context, endpoint, user string) (_ string, err error) {
		token, err = tokens.Token(ctx, endpoint, user)
		return token + "0", err
	}
	_, err = store.Open(t.Context(), config)
	require.ErrorContains(t, err, "28P01")
	require.NotContains(t, err.Error(), "X-Amz")
	require.NotContains(t, err.Error(), token[strings.LastIndex(token, "=")+1:])
}
