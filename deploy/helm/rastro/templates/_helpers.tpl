{{- define "rastro.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "rastro.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rastro.labels" -}}
{{ include "rastro.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "rastro.image" -}}
{{- $image := .image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ $image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "rastro.secret" -}}
{{- if .Values.secrets.existing }}{{ .Values.secrets.existing }}{{ else if .Values.externalSecrets.enabled }}{{ include "rastro.fullname" . }}
{{- else }}{{ fail "say where the secrets are: secrets.existing, or externalSecrets.enabled with a store" }}{{ end }}
{{- end }}

{{/* The security of every container: nobody in particular, who may write nowhere and become nothing else. */}}
{{- define "rastro.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rastro.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* A secret of a process: the variable, and the key of the secret that holds it, of the roles' one unless another is named. */}}
{{- define "rastro.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | default (include "rastro.secret" .root) }}
      key: {{ .key }}
{{- end }}

{{/* The environment of a process: what all roles share. */}}
{{- define "rastro.environment" -}}
{{- $root := .root -}}
{{- $secret := .secret -}}
{{- $optional := $root.Values.secrets.optional -}}
{{ include "rastro.secretVariable" (dict "root" $root "secret" $secret "name" "RASTRO_DATABASE_URL" "key" "database-url") }}
{{- if $root.Values.database.readReplica }}
{{ include "rastro.secretVariable" (dict "root" $root "secret" $secret "name" "RASTRO_DATABASE_READ_URL" "key" "database-read-url") }}
{{- end }}
{{- if has "personal-key" $optional }}
{{ include "rastro.secretVariable" (dict "root" $root "secret" $secret "name" "RASTRO_PERSONAL_KEY" "key" "personal-key") }}
{{- end }}
- {name: RASTRO_DATABASE_AUTH, value: {{ $root.Values.database.auth | quote }}}
{{- with $root.Values.database.caFile }}
- {name: RASTRO_DATABASE_CA_FILE, value: {{ . | quote }}}
{{- end }}
- {name: RASTRO_DATABASE_MAX_CONNS, value: {{ $root.Values.database.maxConns | quote }}}
{{- if $root.Values.configFiles }}
- {name: RASTRO_CONFIG_DIR, value: /etc/rastro/config}
{{- end }}
{{- range $name, $value := merge (dict) (.env | default dict) $root.Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{/* What a role has beside that. */}}
{{- define "rastro.roleEnvironment" -}}
{{- $root := .root -}}
{{- $optional := $root.Values.secrets.optional -}}
- {name: RASTRO_LISTEN, value: ":8080"}
- {name: RASTRO_METRICS_LISTEN, value: ":9464"}
- {name: RASTRO_BROKER, value: {{ $root.Values.broker.kind }}}
{{- if eq $root.Values.broker.kind "sqs" }}
{{- with $root.Values.broker.sqs.region }}
- {name: RASTRO_SQS_REGION, value: {{ . | quote }}}
{{- end }}
- {name: RASTRO_SQS_PREFIX, value: {{ $root.Values.broker.sqs.prefix | quote }}}
- {name: RASTRO_SQS_PROVISION, value: {{ $root.Values.broker.sqs.provision | quote }}}
{{- else }}
{{ include "rastro.secretVariable" (dict "root" $root "name" "RASTRO_NATS_URL" "key" "nats-url") }}
- {name: RASTRO_NATS_REPLICAS, value: {{ $root.Values.broker.nats.replicas | quote }}}
{{- end }}
- {name: RASTRO_OIDC_ISSUER, value: {{ required "oidc.issuer: say whose tokens to believe, as https://keycloak.example.com/realms/rastro" $root.Values.oidc.issuer | quote }}}
- {name: RASTRO_OIDC_AUDIENCE, value: {{ $root.Values.oidc.audience | quote }}}
{{- if or (eq .role "dashboard") (eq .role "query") }}
- {name: RASTRO_OIDC_CLIENT_ID, value: {{ $root.Values.oidc.clientId | quote }}}
{{ include "rastro.secretVariable" (dict "root" $root "name" "RASTRO_SESSION_KEY" "key" "session-key") }}
{{- if has "oidc-client-secret" $optional }}
{{ include "rastro.secretVariable" (dict "root" $root "name" "RASTRO_OIDC_CLIENT_SECRET" "key" "oidc-client-secret") }}
{{- end }}
{{- with $root.Values.environment }}
- {name: RASTRO_ENVIRONMENT, value: {{ . | quote }}}
{{- end }}
{{- with $root.Values.publicUrl }}
- {name: RASTRO_PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if and (eq .role "ingest") (has "credentials-key" $optional) }}
{{ include "rastro.secretVariable" (dict "root" $root "name" "RASTRO_CREDENTIALS_KEY" "key" "credentials-key") }}
{{- end }}
- {name: RASTRO_SHUTDOWN_DELAY, value: 5s}
{{- with $root.Values.telemetry.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ $root.Values.telemetry.sampler | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ $root.Values.telemetry.samplerArg | quote }}}
{{- end }}
- {name: OTEL_SERVICE_NAME, value: rastro-{{ .role }}}
{{- end }}

{{/* The volume of the configuration, and where it is mounted. */}}
{{- define "rastro.configMount" -}}
{{- if .Values.configFiles }}
volumeMounts:
  - {name: config, mountPath: /etc/rastro/config, readOnly: true}
{{- end }}
{{- end }}

{{- define "rastro.configVolume" -}}
{{- if .root.Values.configFiles }}
volumes:
  - name: config
    configMap:
      name: {{ .name }}
      items:
        {{- range $path, $_ := .root.Values.configFiles }}
        - {key: {{ $path | replace "/" "__" | quote }}, path: {{ $path | quote }}}
        {{- end }}
{{- end }}
{{- end }}

{{/* What the migration needs of its own, because it runs before everything else: the annotations of a hook that is gone when it has succeeded. */}}
{{- define "rastro.beforeMigration" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: "0"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "rastro.configData" -}}
{{- range $path, $text := .Values.configFiles }}
{{ $path | replace "/" "__" }}: {{ $text | quote }}
{{- end }}
{{- end }}

{{- define "rastro.externalSecretSpec" -}}
refreshInterval: {{ .root.Values.externalSecrets.refreshInterval }}
secretStoreRef:
  kind: {{ .root.Values.externalSecrets.secretStoreRef.kind }}
  name: {{ required "externalSecrets.secretStoreRef.name: say which store" .root.Values.externalSecrets.secretStoreRef.name }}
target:
  name: {{ .name }}
  creationPolicy: Owner
dataFrom:
  - extract: {key: {{ .root.Values.externalSecrets.remoteKey | quote }}}
{{- end }}

{{/* The roles that are enabled, by name. */}}
{{- define "rastro.role" -}}{{ include "rastro.fullname" .root }}-{{ .role }}{{- end }}
