// Package keycloak_test holds the realm to what Keycloak imports: every field is one that it knows, everything that is named is there.
package keycloak_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Nerzal/gocloak/v13"
	"github.com/stretchr/testify/require"
)

// newer are settings of mappers that Keycloak has and the types, which are older, do not.
var newer = regexp.MustCompile(`"(introspection\.token\.claim|included\.custom\.audience|aggregate\.attrs)": "[^"]*"(,?)`)

// text is the realm as the types know it.
func text(t *testing.T) []byte {
	t.Helper()
	realm, err := os.ReadFile("../../keycloak/rastro-realm.json")
	require.NoError(t, err)
	require.Len(t, newer.FindAll(realm, -1), strings.Count(string(realm), `"introspection.token.claim"`)+2)
	return regexp.MustCompile(`,(\s*\})`).ReplaceAll(newer.ReplaceAll(realm, nil), []byte("$1"))
}

func decode(realm []byte) (gocloak.RealmRepresentation, error) {
	var r gocloak.RealmRepresentation
	decoder := json.NewDecoder(bytes.NewReader(realm))
	decoder.DisallowUnknownFields()
	return r, decoder.Decode(&r)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func TestTheRealmIsWhatKeycloakImports(t *testing.T) {
	realm, err := decode(text(t))
	require.NoError(t, err)
	require.Equal(t, "rastro", value(realm.Realm))
	var roles, scopes, clients []string
	for _, role := range value(value(realm.Roles).Realm) {
		roles = append(roles, value(role.Name))
	}
	for _, scope := range value(realm.ClientScopes) {
		scopes = append(scopes, value(scope.Name))
	}
	for _, client := range value(realm.Clients) {
		require.NotContains(t, clients, value(client.ClientID), "twice")
		clients = append(clients, value(client.ClientID))
		for _, scope := range value(client.DefaultClientScopes) {
			require.Contains(t, scopes, scope, value(client.ClientID))
		}
	}
	accounts, names := map[string]bool{}, map[string]bool{}
	for _, user := range value(realm.Users) {
		require.False(t, names[value(user.Username)], "%s twice", value(user.Username))
		names[value(user.Username)] = true
		require.NotEmpty(t, value(user.RealmRoles), value(user.Username))
		for _, role := range value(user.RealmRoles) {
			require.Contains(t, roles, role, value(user.Username))
		}
		if account := value(user.ServiceAccountClientID); account != "" {
			require.Contains(t, clients, account)
			accounts[account] = true
		}
	}
	for _, client := range value(realm.Clients) {
		require.Equal(t, value(client.ServiceAccountsEnabled), accounts[value(client.ClientID)], "%s has an account where it signs in as itself", value(client.ClientID))
	}
	require.GreaterOrEqual(t, len(slices.DeleteFunc(clients, func(id string) bool { return !strings.HasPrefix(id, "carrier-") })), 2, "carriers to try it with")
}

func TestMistakesInTheRealmAreFound(t *testing.T) {
	for from, to := range map[string]string{
		`"serviceAccountsEnabled"`:   `"serviceAccountEnabled"`,
		`"accessTokenLifespan": 300`: `"accessTokenLifespan": "5m"`,
		`"redirectUris"`:             `"redirectURLs"`,
		`"protocolMapper"`:           `"protocolMapperType"`,
	} {
		broken := bytes.Replace(text(t), []byte(from), []byte(to), 1)
		require.NotEqual(t, string(text(t)), string(broken), from)
		_, err := decode(broken)
		require.Error(t, err, to)
	}
}
