{{- define "sealift.labels" -}}
app.kubernetes.io/name: sealift
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "sealift.selector" -}}
app.kubernetes.io/name: sealift
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "sealift.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{- /* A third of the memory limit, in MiB: the rest is for buffers, native code and the young generation. */ -}}
{{- define "sealift.heap" -}}
{{- $limit := toString . }}
{{- if hasSuffix "Gi" $limit }}{{ div (mul (trimSuffix "Gi" $limit | int) 1024) 3 }}
{{- else if hasSuffix "Mi" $limit }}{{ div (trimSuffix "Mi" $limit | int) 3 }}
{{- else }}{{ fail (printf "resources.limits.memory is %s; write it as whole Mi or Gi" $limit) }}
{{- end }}
{{- end }}

{{- /* What both programs read from the environment. */ -}}
{{- define "sealift.env" -}}
- { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
- { name: POD_NAMESPACE, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
- { name: NODE_NAME, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
- { name: LOG_LEVEL, value: {{ .root.Values.logLevel | quote }} }
# Without this, V8 sizes its heap by the node's memory instead of the limit, and the kernel kills the container before V8 collects garbage.
- { name: NODE_OPTIONS, value: "--max-old-space-size={{ include "sealift.heap" .limit }} --max-semi-space-size=4" }
{{- if .root.Values.faultPoints }}
- { name: SEALIFT_FAULT_DIR, value: /var/lib/sealift/faults }
{{- end }}
{{- range $name, $value := .extra }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- /* What the agent's containers see of the node. */ -}}
{{- define "sealift.agentMounts" -}}
- { name: bundle, mountPath: /opt/sealift }
- { name: state, mountPath: /var/lib/sealift }
- { name: run, mountPath: /run/sealift }
- { name: runtime, mountPath: /run/containerd, mountPropagation: HostToContainer }
- { name: kubelet, mountPath: /var/lib/kubelet, mountPropagation: HostToContainer }
- { name: cni, mountPath: {{ .Values.agent.cniBinDir }} }
- { name: modules, mountPath: /lib/modules, readOnly: true }
- { name: dev, mountPath: /dev }
{{- end }}

{{/* Whether moved pods may keep their addresses: without Multus' definition helm could not create its network. */}}
{{- define "sealift.createsPodNetwork" -}}
{{- $enabled := toString .Values.podNetwork.enabled -}}
{{- or (eq $enabled "true") (and (eq $enabled "auto") (.Capabilities.APIVersions.Has "k8s.cni.cncf.io/v1")) -}}
{{- end -}}
