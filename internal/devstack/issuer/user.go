package issuer

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

// User is somebody the sign-in page offers to be.
type User struct {
	// Username is unique; the subject of the user's tokens is derived from it, so it survives a restart.
	Username   string
	GivenName  string
	FamilyName string
	Email      string
	// Tenant is the tenant claim.
	Tenant string
	// Roles are the realm roles: events:write, traces:read, ops:read, ops:write, tenants:all.
	Roles []string
	// Title says in one Spanish and one English word what the user does.
	Title Title
}

// Title is what a user does, in the languages of the sign-in page.
type Title struct{ ES, EN string }

// Name is the user's full name.
func (u User) Name() string { return strings.TrimSpace(u.GivenName + " " + u.FamilyName) }

// Subject is the user's sub claim: a UUID, as in Keycloak.
func (u User) Subject() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://rastro.example/users/"+u.Username)).String()
}

// DemoUsers are an operator, a viewer and a carrier for each of the four demo tenants, and somebody who runs the system for all of them.
// The people are made up.
func DemoUsers() []User {
	operator := Title{ES: "Operaciones", EN: "Operator"}
	viewer := Title{ES: "Consulta", EN: "Viewer"}
	carrier := Title{ES: "Transportista", EN: "Carrier"}
	platform := Title{ES: "Plataforma", EN: "Platform"}
	demo := func(tenant, given, family string, title Title, roles ...string) User {
		username := strings.ToLower(given + "." + family)
		username = strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u", "ñ", "n").Replace(username)
		return User{
			Username: username, GivenName: given, FamilyName: family, Email: username + "@" + tenant + ".example",
			Tenant: tenant, Roles: roles, Title: title,
		}
	}
	all := []string{"traces:read", "ops:read", "ops:write", "events:write"}
	return []User{
		demo("talma-pe", "Rosa", "Quispe", operator, all...),
		demo("talma-pe", "Iván", "Cárdenas", viewer, "traces:read"),
		demo("talma-pe", "Lucía", "Paredes", carrier, "events:write"),
		demo("talma-pe", "Eva", "Soto", platform, append(slices.Clone(all), "tenants:all")...),
		demo("talma-ec", "Andrés", "Villacís", operator, all...),
		demo("talma-ec", "Paola", "Cevallos", viewer, "traces:read"),
		demo("talma-ec", "Byron", "Quinde", carrier, "events:write"),
		demo("talma-co", "Camila", "Restrepo", operator, all...),
		demo("talma-co", "Julián", "Ospina", viewer, "traces:read"),
		demo("talma-co", "Marcela", "Patiño", carrier, "events:write"),
		demo("talma-mx", "Ximena", "Arriaga", operator, all...),
		demo("talma-mx", "Héctor", "Zavala", viewer, "traces:read"),
		demo("talma-mx", "Norma", "Elizondo", carrier, "events:write"),
	}
}
