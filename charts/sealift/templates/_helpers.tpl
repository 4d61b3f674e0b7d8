{{- define "sealift.labels" -}}
{{- /* The operator's Service is called after it, and API servers take no other names for one (RFC 1035). */ -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}{{ fail (printf "the release is called %s; begin with a letter, and use no dots" .Release.Name) }}{{ end -}}
app.kubernetes.io/name: sealift
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sealift.selector" -}}
app.kubernetes.io/name: sealift
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "sealift.image" -}}
{{- if not (or .digest .tag) }}{{ fail (printf "images: %s has neither tag nor digest; give one of them" .repository) }}{{ end }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{- /* A third of the memory limit, in MiB: the rest is for buffers, native code and the young generation. */ -}}
{{- define "sealift.heap" -}}
{{- $limit := toString . }}
{{- if not (regexMatch "^[1-9][0-9]*(Mi|Gi)$" $limit) }}{{ fail (printf "resources.limits.memory is %s; write it as whole Mi or Gi" $limit) }}
{{- else if hasSuffix "Gi" $limit }}{{ div (mul (trimSuffix "Gi" $limit | int) 1024) 3 }}
{{- else }}{{ div (trimSuffix "Mi" $limit | int) 3 }}
{{- end }}
{{- end }}

{{- /* Two ports of one address. */ -}}
{{- define "sealift.ports" -}}
{{- if eq (int .first) (int .second) }}{{ fail (printf "%s is %d twice; give each its own port" .names (int .first)) }}{{ end }}
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

{{- /* What the agent's containers see of the node. /opt/sealift and the directory of CNI plugins are not among it: whoever
  mounts makes them, and on a node where they cannot be made no container would start that could say so. The agent finds them
  through the host's init. */ -}}
{{- define "sealift.agentMounts" -}}
- { name: state, mountPath: /var/lib/sealift }
- { name: run, mountPath: /run/sealift }
- { name: runtime, mountPath: /run/containerd, mountPropagation: HostToContainer }
- { name: kubelet, mountPath: /var/lib/kubelet, mountPropagation: HostToContainer }
- { name: modules, mountPath: /lib/modules, readOnly: true }
- { name: dev, mountPath: /dev }
{{- end }}

{{/* Whether moved pods may keep their addresses: without Multus' definition helm could not create its network. */}}
{{- define "sealift.createsPodNetwork" -}}
{{- $enabled := toString .Values.podNetwork.enabled -}}
{{- or (eq $enabled "true") (and (eq $enabled "auto") (.Capabilities.APIVersions.Has "k8s.cni.cncf.io/v1")) -}}
{{- end -}}
