{{- define "bramble.tls.secret" -}}
{{- .Values.gateway.tls.existingSecret | default (printf "%s-tls" (include "bramble.gateway.name" .)) -}}
{{- end -}}

{{- define "bramble.tls.names" -}}
{{- /* The DNS names of the certificate, as a JSON list. */ -}}
{{- $service := include "bramble.gateway.name" . -}}
{{- $namespace := .Release.Namespace -}}
{{- $own := list $service (printf "%s.%s" $service $namespace) (printf "%s.%s.svc" $service $namespace) (printf "%s.%s.svc.cluster.local" $service $namespace) -}}
{{- concat $own .Values.gateway.tls.extraNames | uniq | toJson -}}
{{- end -}}

{{- define "bramble.tls.issue" -}}
{{- /*
The CA and the certificate, as YAML with caCert, caKey, cert and key (all base64) and renewAfter (Unix seconds).

Both are read from the cluster, so that upgrades keep them. The same CA signs a new certificate when the names have changed, or when less
than a quarter of its lifetime is left. The CA is valid for ten years. The key is one on an elliptic curve, because a handshake with it takes
the gateway a third of the time that it takes with RSA. The result is stored in .Release, because all templates of one run must use the same
pair.
*/ -}}
{{- if not (hasKey .Release "brambleTLS") -}}
{{- $names := include "bramble.tls.names" . -}}
{{- $days := int .Values.gateway.tls.validDays -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "bramble.tls.secret" .) -}}
{{- $root := lookup "v1" "Secret" .Release.Namespace (printf "%s-ca" (include "bramble.gateway.name" .)) -}}
{{- $ca := "" -}}
{{- if $root -}}
{{- $ca = buildCustomCert (index $root.data "ca.crt") (index $root.data "ca.key") -}}
{{- else -}}
{{- $ca = genCA (printf "%s CA" (include "bramble.gateway.name" .)) 3650 -}}
{{- end -}}
{{- $annotations := dict -}}
{{- if $secret -}}{{- $annotations = $secret.metadata.annotations | default dict -}}{{- end -}}
{{- $renewAfter := index $annotations "bramble.dev/renew-after" | default "0" | int64 -}}
{{- $now := now | unixEpoch | int64 -}}
{{- $issued := dict "caCert" ($ca.Cert | b64enc) "caKey" ($ca.Key | b64enc) -}}
{{- if and $root $secret (eq (index $annotations "bramble.dev/names" | default "") $names) (lt $now $renewAfter) -}}
{{- $_ := set $issued "cert" (index $secret.data "tls.crt") -}}
{{- $_ := set $issued "key" (index $secret.data "tls.key") -}}
{{- $_ := set $issued "renewAfter" (toString $renewAfter) -}}
{{- else -}}
{{- $leaf := genSignedCertWithKey (include "bramble.gateway.name" .) nil (fromJsonArray $names) $days $ca (genPrivateKey "ecdsa") -}}
{{- $_ := set $issued "cert" ($leaf.Cert | b64enc) -}}
{{- $_ := set $issued "key" ($leaf.Key | b64enc) -}}
{{- $_ := set $issued "renewAfter" (toString (add $now (mul $days 64800))) -}}
{{- end -}}
{{- $_ := set .Release "brambleTLS" $issued -}}
{{- end -}}
{{- .Release.brambleTLS | toYaml -}}
{{- end -}}

{{- define "bramble.tls.checksum" -}}
{{- /* Changes when the pods must be restarted with another certificate. */ -}}
{{- if .Values.gateway.tls.existingSecret -}}
{{- .Values.gateway.tls.existingSecret | sha256sum -}}
{{- else -}}
{{- (include "bramble.tls.issue" . | fromYaml).cert | sha256sum -}}
{{- end -}}
{{- end -}}
