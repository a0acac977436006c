package config

import "reflect"

// WithoutSecrets reads the configuration from environment variables, those that hold secrets left out: enough to check files
// against it, wherever that is done. lookup is os.LookupEnv, or like it.
func WithoutSecrets(lookup func(name string) (value string, set bool)) (Process, error) {
	environment := map[string]string{}
	for _, name := range publicVariables(reflect.TypeFor[Process]()) {
		if value, set := lookup(name); set {
			environment[name] = value
		}
	}
	return parse(environment)
}

// publicVariables returns the variables below a struct that hold no secrets.
func publicVariables(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, isVariable := field.Tag.Lookup("env")
		switch {
		case !isVariable:
			names = append(names, publicVariables(field.Type)...)
		case field.Tag.Get("secret") != "true":
			names = append(names, name)
		}
	}
	return names
}
