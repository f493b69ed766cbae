{{- define "bramble.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "bramble.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "bramble.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bramble.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bramble.operator.name" -}}{{ include "bramble.fullname" . }}-operator{{- end -}}
{{- define "bramble.gateway.name" -}}{{ include "bramble.fullname" . }}-gateway{{- end -}}

{{- define "bramble.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "bramble.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: bramble
{{- end -}}

{{- define "bramble.selector" -}}
{{- /* Call with (dict "root" . "component" "operator"). */ -}}
app.kubernetes.io/name: {{ include "bramble.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "bramble.image.operator" -}}
{{- with .Values.images.operator -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ if .digest }}@{{ .digest }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "bramble.image.pinned" -}}
{{- /* Call with (dict "root" . "name" "train"): Jobs and agents name images by digest only. */ -}}
{{- $image := index .root.Values.images .name -}}
{{- $digest := required (printf "images.%s.digest is empty: jobs and agents name their images by digest. Set it with --set images.%s.digest=sha256:… (docs/images.md)" .name .name) $image.digest -}}
{{- printf "%s@%s" $image.repository $digest -}}
{{- end -}}

{{- define "bramble.gateway.url" -}}
{{- .Values.gateway.url | default (printf "https://%s.%s.svc:%d" (include "bramble.gateway.name" .) .Release.Namespace (int .Values.gateway.service.port)) -}}
{{- end -}}
