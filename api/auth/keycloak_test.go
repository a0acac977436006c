package auth

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// realmFile is what is read of a realm that Keycloak exports and imports.
type realmFile struct {
	AccessTokenLifespan int `json:"accessTokenLifespan"`
	Roles               struct {
		Realm []struct {
			Name string `json:"name"`
		} `json:"realm"`
	} `json:"roles"`
	ClientScopes []struct {
		Name            string           `json:"name"`
		ProtocolMappers []protocolMapper `json:"protocolMappers"`
	} `json:"clientScopes"`
	Clients []realmClient `json:"clients"`
	Users   []realmUser   `json:"users"`
}

type realmClient struct {
	ClientID                  string            `json:"clientId"`
	Secret                    string            `json:"secret"`
	PublicClient              bool              `json:"publicClient"`
	StandardFlowEnabled       bool              `json:"standardFlowEnabled"`
	ImplicitFlowEnabled       bool              `json:"implicitFlowEnabled"`
	DirectAccessGrantsEnabled bool              `json:"directAccessGrantsEnabled"`
	ServiceAccountsEnabled    bool              `json:"serviceAccountsEnabled"`
	RedirectURIs              []string          `json:"redirectUris"`
	Attributes                map[string]string `json:"attributes"`
	DefaultClientScopes       []string          `json:"defaultClientScopes"`
	ProtocolMappers           []protocolMapper  `json:"protocolMappers"`
}

type realmUser struct {
	Username               string              `json:"username"`
	FirstName              string              `json:"firstName"`
	LastName               string              `json:"lastName"`
	ServiceAccountClientID string              `json:"serviceAccountClientId"`
	Attributes             map[string][]string `json:"attributes"`
	RealmRoles             []string            `json:"realmRoles"`
}

type protocolMapper struct {
	ProtocolMapper string            `json:"protocolMapper"`
	Config         map[string]string `json:"config"`
}

// add does to the claims of an access token what Keycloak's mapper of that type does.
func (m protocolMapper) add(t *testing.T, c map[string]any, u realmUser) {
	t.Helper()
	if m.Config["access.token.claim"] != "true" {
		return
	}
	set := func(value any) {
		at, parts := c, strings.Split(m.Config["claim.name"], ".")
		for _, part := range parts[:len(parts)-1] {
			inner, ok := at[part].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[part] = inner
			}
			at = inner
		}
		at[parts[len(parts)-1]] = value
	}
	switch m.ProtocolMapper {
	case "oidc-sub-mapper":
		c["sub"] = "id-of-" + u.Username
	case "oidc-audience-mapper":
		c["aud"] = m.Config["included.custom.audience"]
	case "oidc-usermodel-realm-role-mapper":
		require.Equal(t, "true", m.Config["multivalued"])
		set(append([]string{"offline_access", "default-roles-rastro"}, u.RealmRoles...))
	case "oidc-usermodel-attribute-mapper":
		require.Equal(t, "false", m.Config["multivalued"])
		if values := u.Attributes[m.Config["user.attribute"]]; len(values) > 0 {
			set(values[0])
		}
	case "oidc-hardcoded-claim-mapper":
		require.Equal(t, "String", m.Config["jsonType.label"])
		set(m.Config["claim.value"])
	case "oidc-full-name-mapper":
		c["name"] = strings.TrimSpace(u.FirstName + " " + u.LastName)
	default:
		require.Fail(t, "mapper of a type that this test does not know", m.ProtocolMapper)
	}
}

// claims are those of the access token that the realm would issue.
func (r realmFile) claims(t *testing.T, a *authority, at time.Time, client realmClient, u realmUser) map[string]any {
	t.Helper()
	c := map[string]any{
		"iss": a.issuer, "iat": at.Unix(), "exp": at.Add(time.Duration(r.AccessTokenLifespan) * time.Second).Unix(), "typ": "Bearer",
		"azp": client.ClientID, "preferred_username": u.Username,
	}
	for _, m := range client.ProtocolMappers {
		m.add(t, c, u)
	}
	for _, scope := range r.ClientScopes {
		for _, m := range scope.ProtocolMappers {
			if slices.Contains(client.DefaultClientScopes, scope.Name) {
				m.add(t, c, u)
			}
		}
	}
	return c
}

func readRealm(t *testing.T) (realm realmFile, clients map[string]realmClient) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/keycloak/rastro-realm.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &realm))
	clients = map[string]realmClient{}
	for _, c := range realm.Clients {
		clients[c.ClientID] = c
	}
	return realm, clients
}

func TestTheKeycloakRealmIsTight(t *testing.T) {
	t.Parallel()
	realm, clients := readRealm(t)
	var roles []string
	for _, r := range realm.Roles.Realm {
		roles = append(roles, r.Name)
	}
	require.ElementsMatch(t, Roles(), roles)
	require.LessOrEqual(t, realm.AccessTokenLifespan, 300)
	require.Len(t, clients, 5)
	for id, c := range clients {
		require.Empty(t, c.Secret, id)
		require.False(t, c.ImplicitFlowEnabled || c.DirectAccessGrantsEnabled, id)
		require.Contains(t, DefaultConfig("").Algorithms, c.Attributes["access.token.signed.response.alg"])
		require.Equal(t, c.PublicClient, c.StandardFlowEnabled)
		require.Equal(t, !c.PublicClient, c.ServiceAccountsEnabled)
		if c.PublicClient {
			require.Equal(t, "S256", c.Attributes["pkce.code.challenge.method"])
			require.NotContains(t, strings.Join(c.RedirectURIs, " "), "*", "a code must not go anywhere else")
		}
	}
}

// What the realm issues is what the verifier takes, and opens what it should.
func TestWhatTheKeycloakRealmIssues(t *testing.T) {
	t.Parallel()
	realm, clients := readRealm(t)
	clk, key := newClock(), rsaSigner(t, "realm", 2048)
	a := newAuthority(t, key)
	v := testVerifier(t, a, clk)
	app := fiber.New()
	app.Use(v.Authenticate())
	address := func(role string) string { return "/" + strings.ReplaceAll(role, ":", "/") } // a colon begins a parameter
	for _, role := range Roles() {
		app.Get(address(role), Require(role), whoAsks)
	}
	held := map[string]map[string]bool{} // by tenant, the roles of people
	for _, u := range realm.Users {
		client := clients["rastro-dashboard"]
		var tenant string
		if u.ServiceAccountClientID != "" {
			client = clients[u.ServiceAccountClientID]
			tenant = client.ProtocolMappers[0].Config["claim.value"]
		} else {
			require.Len(t, u.Attributes["tenant"], 1)
			tenant = u.Attributes["tenant"][0]
		}
		raw := key.sign(t, realm.claims(t, a, clk.now(), client, u))
		id, err := v.Verify(t.Context(), raw)
		require.NoError(t, err, u.Username)
		require.Equal(t, tenant, id.TenantID, u.Username)
		require.ElementsMatch(t, u.RealmRoles, id.Roles, u.Username)
		require.Equal(t, client.ClientID, id.ClientID)
		require.Equal(t, "id-of-"+u.Username, id.Subject)
		for _, role := range Roles() {
			req := bearer("Bearer " + raw)
			req.URL.Path, req.RequestURI = address(role), address(role)
			want := http.StatusForbidden
			if slices.Contains(u.RealmRoles, role) {
				want = http.StatusOK
			}
			require.Equal(t, want, call(t, app, req).StatusCode, "%s %s", u.Username, role)
			if u.ServiceAccountClientID == "" && want == http.StatusOK {
				if held[tenant] == nil {
					held[tenant] = map[string]bool{}
				}
				held[tenant][role] = true
			}
		}
	}
	require.Len(t, held, 2, "two tenants have people")
	for tenant, roles := range held {
		require.Len(t, roles, len(Roles()), tenant)
	}
	nobody := realmUser{Username: "nobody", RealmRoles: []string{RoleTracesRead}}
	_, err := v.Verify(t.Context(), key.sign(t, realm.claims(t, a, clk.now(), clients["rastro-dashboard"], nobody)))
	require.ErrorIs(t, err, ErrNoTenant, "whoever has no tenant comes to none")
}
