{{- define "bramble.pod.security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "bramble.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "bramble.pod.placement" -}}
{{- /* Call with (dict "root" . "component" "operator" "values" .Values.operator). */ -}}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "bramble.selector" . | nindent 8 }}
{{- end -}}

{{- define "bramble.pod.env" -}}
{{- /* The settings that differ between replicas. All others come from the settings ConfigMap. */ -}}
- name: BRAMBLE_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: BRAMBLE_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}
